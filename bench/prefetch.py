"""``prefetch``: what is predicted of recorded accesses, and what a prediction costs.

Each client of a trace is a device that keeps, by LRU, 10 % of the bytes of all objects. The model
learns as it goes; files with a probability of 0.7 and more, four an access at most, are there at
once. Nothing of that is timed, so nothing varies from run to run. The cost is that of the
predictor in Redis on one trace: worker's CPU and time an access, and bytes a file. That trace is
then played to real workers (``bench.replay``), and what changes is followed (``bench.storm``).

The traces are no part of the project: see docs/prefetch.md.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Final

from bench import replay, storm
from bench.harness import MIN_ROUNDS, Options, Spread, tell
from bench.machine import Machine
from bench.report import Figure, Report
from bench.servers import Bed, bed
from cachekeeper.cli.traces import name_of, read_trace, traces_in
from cachekeeper.core.policy.trace import Trace
from cachekeeper.core.predict.simulation import Foresight, foresee
from cachekeeper.errors import InvalidInput
from cachekeeper.settings import TRACES
from cachekeeper.store.redis.connection import Connection
from cachekeeper.store.redis.predictor import RedisPredictor

SHARE: Final = 0.1  # of the footprint
THRESHOLD: Final = 0.7
AT_ONCE: Final = 4
FULL: Final = 200_000  # the first requests of each trace
QUICK: Final = 12_000

#: How soon is soon, by what a trace is of; the first part of its name.
HORIZON_S: Final = {"git": 86400.0, "fs": 10.0}
WEB_S: Final = 1800.0

TIMED: Final = replay.TRACE  # what the predictor in Redis is timed on, if it is there
ACCESSES: Final = 10_000
ITEMS: Final = 100_000


def run(options: Options) -> Report:
    """Play everything once. Raises InvalidInput: there are no traces, or one is malformed."""
    if options.traces is None:
        raise InvalidInput("traces", None, f"a folder, given by --traces or {TRACES}")
    paths, limit = traces_in(options.traces), QUICK if options.quick else FULL
    played = _play_all(paths, limit)
    timed = next((path for path in paths if name_of(path) == TIMED), paths[0])
    trace = read_trace(timed, ACCESSES)
    with bed() as server:
        machine = Machine.here(server.engine)
        cost = _cost(server, trace)
    figures = [_covered(name, found) for name, found in played.items()]
    more = {"traces": {name: found.to_json() for name, found in played.items()}}
    figures += cost
    if TIMED in played and not options.quick:  # it takes as long as its clock says
        figures += replay.measure(options, played[TIMED].hit_after)
    figures += storm.measure(options)
    sizes = {"traces": len(played), "first_requests_of_each": limit, "accesses_timed": len(trace)}
    return Report("prefetch", machine, options.quick, sizes, figures, more)


def _covered(name: str, found: Foresight) -> Figure:
    precision = "-" if found.precision is None else f"{found.precision:.3f}"
    said = (
        f"hits {found.hit_before:.3f} -> {found.hit_after:.3f}; {found.prefetched:,} prefetched, "
        f"precision {precision}; extra bytes {100 * found.extra_bytes:.1f} %; "
        f"{100 * found.trigger_share:.2f} % of requests trigger; "
        f"calibration error {found.calibration_error:.4f}"
    )
    return Figure(f"coverage_{name}", found.coverage, f"misses removed; {said}")


def _play_all(paths: Sequence[Path], limit: int) -> dict[str, Foresight]:
    """A process a core, largest trace first; in the order of the paths."""
    longest_first = sorted(paths, key=lambda path: path.stat().st_size, reverse=True)
    cores = Machine.here("").cores
    with ProcessPoolExecutor(cores, mp_context=get_context("spawn")) as pool:
        futures = {path: pool.submit(_play, path, limit) for path in longest_first}
        try:
            return {name_of(path): futures[path].result() for path in paths}
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _play(path: Path, limit: int) -> Foresight:
    trace = read_trace(path, limit)
    horizon_s = HORIZON_S.get(trace.name.partition("_")[0], WEB_S)
    found = foresee(trace, horizon_s, share=SHARE, threshold=THRESHOLD, at_once=AT_ONCE)
    tell(f"{trace.name}: {len(trace):,} requests, {found.predictions:,} predictions")
    return found


def _cost(server: Bed, trace: Trace) -> list[Figure]:
    """What an access costs, and what is kept: each round learns the trace in a new deployment."""
    tell(f"{trace.name}: {len(trace):,} accesses in Redis, {MIN_ROUNDS} times")
    cpu_ms, wall_ms, bytes_a_file, bytes_a_device = [], [], 0.0, 0.0
    accesses = list(zip(trace.clients or ["0"] * len(trace), trace.keys, trace.times, strict=True))
    for number in range(MIN_ROUNDS):
        connection = Connection(server.url, f"bench-{number}")
        predictor = RedisPredictor(connection, WEB_S, ITEMS)
        connection.redis.ping()
        cpu, wall = time.process_time(), time.perf_counter()
        for client, path, now in accesses:
            predictor.observe(f"d{client}", path, now, threshold=THRESHOLD, limit=AT_ONCE)
        cpu_ms.append(1000 * (time.process_time() - cpu) / len(accesses))
        wall_ms.append(1000 * (time.perf_counter() - wall) / len(accesses))
        bytes_a_file, bytes_a_device = _kept(connection)
        connection.close()
    on = f"over {len(trace):,} accesses of {trace.name}"
    return [
        Figure.median("plan_cpu_ms", Spread.of(cpu_ms), f"worker's CPU an access, {on}", "ms"),
        Figure.median("plan_ms", Spread.of(wall_ms), "from the call to the predictions", "ms"),
        Figure("model_bytes_per_file", bytes_a_file, "all that Redis keeps of the model, a file"),
        Figure("history_bytes_per_device", bytes_a_device, "for a day, beside the model"),
    ]


def _kept(connection: Connection) -> tuple[float, float]:
    """Bytes of the model a file, and of what is kept of devices a device."""
    layout, redis = connection.layout, connection.redis
    files = int(redis.hlen(layout.model_items))

    def size(pattern: str) -> tuple[int, int]:
        names = list(redis.scan_iter(match=f"{layout.prefix}{pattern}", count=1000))
        return sum(int(redis.memory_usage(name, samples=0)) for name in names), len(names)

    histories, devices = size("history:*")
    return size("model:*")[0] / files, histories / devices
