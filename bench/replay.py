"""Recorded accesses played to the real thing: files, devices, queues, workers.

The files of the trace lie in a folder, with their names and sizes. Each client is a device that
keeps, by LRU, 10 % of the bytes of all of them. An access comes as soon as all is done that the
one before it led to: what was fetched is there at the next one, as in the simulation. With a clock
100 times as fast as the recorded one it would not be, as a fetch of 20 ms would take 2 s of a
recorded visit. How long it takes is told, too: ``settled_p50_ms``. Planning is told the recorded
times, or its horizons would be wrong.
"""

from __future__ import annotations

import csv
import gzip
import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psutil
import redis

from bench.harness import Options, Spread, tell
from bench.report import Figure
from bench.servers import Bed, bed
from bench.workers import worker
from cachekeeper.cli.traces import traces_in
from cachekeeper.client.cache import Cache
from cachekeeper.core.policy.simulation import share_of
from cachekeeper.core.prefetching import DROPPED, STALE_AFTER_S
from cachekeeper.errors import InvalidInput
from cachekeeper.names import Queue
from cachekeeper.settings import PREFIX, TRACES

TRACE: Final = "web_nasa_jul01"
SHARE: Final = 0.1
REPORTS: Final = 5000  # accesses between two reports of progress
#: Where work that an access led to waits, or is held by a worker.
AT_WORK: Final = (Queue.PLAN, Queue.PREFETCH, "unacked")
LOOK_S: Final = 0.0005
SETTLED_S: Final = 2.0  # at the most; what is tried again later is not waited for


@dataclass(frozen=True, slots=True)
class Access:
    """One line of the trace; the path is that of its file."""

    at: float
    client: str
    path: str
    size: int


@dataclass(frozen=True, slots=True)
class Played:
    """What came of it."""

    requests: int
    hits: int
    recorded_s: float
    took_s: float
    settled_ms: Spread  # from the end of an access until all is done that it led to
    plan_cpu_ms: float  # of the worker that plans, with its pool, an access
    counters: dict[str, int]  # of all devices

    @property
    def speed(self) -> float:
        """How much faster than recorded."""
        return self.recorded_s / self.took_s


def measure(options: Options, simulated: float) -> list[Figure]:
    """The figures, on a server of their own.

    ``simulated`` is the hit ratio that a simulation of the same accesses gave. Raises
    InvalidInput: the trace is not there.
    """
    with bed() as server:
        return _figures(play(server, read(_file(options), None)), simulated)


def play(server: Bed, accesses: Sequence[Access]) -> Played:
    """Lay the files out, start the workers, and let the clock run."""
    largest: dict[str, int] = {}
    for each in accesses:
        largest[each.path] = max(each.size, largest.get(each.path, 0))
    origin = server.state.with_name("library")
    lay_out(origin, largest)
    quota = share_of(sum(largest.values()), SHARE)
    settings: dict[str, Any] = {"origin": origin, "device_quota": quota, "device_policy": "lru"}
    settings |= {"device_headroom": 0, "disk_min_free": 0}
    env = {f"{PREFIX}{name.upper()}": str(value) for name, value in settings.items()}
    with (
        worker(server, "immediate", settings=env),
        worker(server, "general", settings=env),
        worker(server, "plan", settings=env) as planning,
        worker(server, "fetch", settings=env),
        server.cache(memory_bytes=0, **settings) as cache,
        server.peer() as broker,
    ):
        planner = psutil.Process(planning.pid)
        return _play(cache, broker, [planner, *planner.children(recursive=True)], accesses)


def _play(
    cache: Cache,
    broker: redis.Redis,
    planners: Sequence[psutil.Process],
    accesses: Sequence[Access],
) -> Played:
    begin, hits, settled = time.monotonic(), 0, []
    cpu_s = _cpu_s(planners)
    for number, each in enumerate(accesses, start=1):
        device = cache.device(f"d{each.client}")
        found = cache.device_caches.get(device.id, each.path)
        hits += found.hit
        with found.open() as file:
            file.seek(0, os.SEEK_END)
        device.read_elsewhere([each.path], at=each.at, until=time.time() + STALE_AFTER_S)
        settled.append(1000 * _settle(broker))
        if number % REPORTS == 0:
            tell(f"replay: {number:,} of {len(accesses):,}, hits {hits / number:.3f}")
    took = time.monotonic() - begin
    cpu_ms = 1000 * (_cpu_s(planners) - cpu_s) / len(accesses)
    counters: dict[str, int] = {}
    for name in cache.stores.devices.ids():
        for counter, count in cache.stores.devices.ledger(name).counters.items():
            counters[counter] = counters.get(counter, 0) + count
    recorded = accesses[-1].at - accesses[0].at
    return Played(len(accesses), hits, recorded, took, Spread.of(settled), cpu_ms, counters)


def _cpu_s(processes: Iterable[psutil.Process]) -> float:
    """What they have used so far (s)."""
    return sum(sum(process.cpu_times()[:2]) for process in processes)


def _settle(broker: redis.Redis) -> float:
    """Wait until the workers have nothing to do; for how long (s)."""
    begin = time.monotonic()
    while broker.exists(*AT_WORK) and time.monotonic() - begin < SETTLED_S:
        time.sleep(LOOK_S)  # between two looks at the queues
    return time.monotonic() - begin


def _figures(played: Played, simulated: float) -> list[Figure]:
    fetched, used = played.counters.get("prefetched", 0), played.counters.get("prefetch_used", 0)
    dropped = {
        name.removeprefix(DROPPED): count
        for name, count in sorted(played.counters.items())
        if name.startswith(DROPPED)
    }
    said = ", ".join(f"{count:,} {name}" for name, count in dropped.items()) or "none"
    found = [
        Figure(
            "stack_hits",
            played.hits / played.requests,
            f"of {played.requests:,} accesses; {fetched:,} prefetched, {used:,} of them read; "
            f"dropped: {said}",
        ),
        Figure("speed_up", played.speed, "times as fast as recorded"),
        Figure.median(
            "settled_p50_ms", played.settled_ms, "from an access until all is done", "ms"
        ),
        Figure(
            "plan_worker_cpu_ms", played.plan_cpu_ms, "of its worker, Celery's too, an access", "ms"
        ),
    ]
    gap = abs(played.hits / played.requests - simulated)
    return [*found, Figure("stack_hit_gap", gap, f"to the simulation's {simulated:.3f}")]


def lay_out(folder: Path, sizes: dict[str, int]) -> None:
    """Files with these sizes; each has a content of its own."""
    for path, size in sizes.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        own = path.encode()
        file.write_bytes((own * (size // len(own) + 1))[:size])


def read(path: Path, limit: int | None) -> list[Access]:
    """The accesses of a trace, or its first."""
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))[:limit]
    names = _names(sorted({row["key"] for row in rows}))
    return [
        Access(float(row["ts"]), row["client"], names[row["key"]], int(row["size"])) for row in rows
    ]


def _names(keys: Sequence[str]) -> dict[str, str]:
    """Where the file of each key lies: in the same folder, under the same name.

    A key that ends with a slash is a folder's own page; a file may not be called like a folder.
    """
    parts = {key: key.strip("/").split("/") for key in keys}
    folders = {"/".join(some[:i]) for some in parts.values() for i in range(1, len(some))}
    folders |= {"/".join(some) for key, some in parts.items() if key.endswith("/")}
    names = {}
    for key, some in parts.items():
        path = "/".join(part for part in some if part not in {"", ".", ".."})
        if key.endswith("/"):
            names[key] = f"{path}/index" if path else "index"
        else:
            names[key] = f"{path}_" if path in folders else path
    return names


def _file(options: Options) -> Path:
    if options.traces is None:
        raise InvalidInput("traces", None, f"a folder, given by --traces or {TRACES}")
    for path in traces_in(options.traces):
        if path.name.startswith(TRACE):
            return path
    raise InvalidInput("traces", str(options.traces), f"a folder with {TRACE}")
