"""What a strict invalidation costs, from the call to the receipt, through queue and worker."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from statistics import median, quantiles
from typing import Final

from bench.harness import Options, Spread
from bench.machine import Machine
from bench.report import Figure, Report
from bench.servers import Bed, bed
from cachekeeper import Cache
from cachekeeper.core.receipt import Status
from cachekeeper.local.services import application_root, application_services
from cachekeeper.local.spawn import Guardian, spawn
from cachekeeper.local.state import State
from cachekeeper.settings import PREFIX, load

READY_S: Final = 60.0
RECEIPT_S: Final = 30.0
PAUSE_S: Final = 0.01  # between two calls: what one costs, not how many fit
#: The worker is a process of its own, and meets a server that it has not seen before.
GRACE_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured."""

    nodes: int
    calls: int
    rounds: int
    dependents: int
    stops: int


FULL: Final = Sizes(nodes=8, calls=500, rounds=15, dependents=100_000, stops=5)
QUICK: Final = Sizes(nodes=8, calls=150, rounds=7, dependents=20_000, stops=2)


def run(options: Options) -> Report:
    """Measure with the sizes that were asked for."""
    sizes = QUICK if options.quick else FULL
    with bed() as server, _worker(server), server.cache(memory_bytes=0) as cache:
        machine = Machine.here(server.engine)
        time.sleep(GRACE_S)
        with _nodes(server, sizes.nodes) as nodes:
            calls = _calls(cache, sizes.calls)
            stopped = _stopped(cache, nodes, sizes.stops)
        ratio = _dependents(cache, sizes)
        settings = cache.settings
    cuts = quantiles(calls, n=100)
    figures = [
        Figure("strict_p50_ms", cuts[49], f"call to receipt, {sizes.nodes} live nodes", "ms"),
        Figure("strict_p99_ms", cuts[98], "the same", "ms"),
        Figure("stopped_node_max_s", max(stopped), "the same with a node stopped", "s"),
        Figure("ack_timeout_s", settings.ack_timeout_s, "setting", "s"),
        Figure("lease_s", settings.lease_s, "setting", "s"),
        Figure.median("strict_dependents_ratio", ratio, f"{sizes.dependents:,} dependents / none"),
        Figure("nodes", sizes.nodes, "processes with a memory tier"),
    ]
    return Report("coherence", machine, options.quick, asdict(sizes), figures)


def _strict(cache: Cache, key: str) -> float:
    """Seconds of one strict invalidation."""
    begin = time.perf_counter()
    receipt = cache.invalidate(key, consistency="strict").wait(RECEIPT_S)
    took = time.perf_counter() - begin
    if receipt.status is not Status.DONE:
        raise RuntimeError(f"strict ended as {receipt.status}: {receipt.error}")
    return took


def _calls(cache: Cache, calls: int) -> list[float]:
    took = []
    for number in range(calls):
        took.append(1000 * _strict(cache, f"held:{number % 200}"))
        time.sleep(PAUSE_S)
    return took


def _stopped(cache: Cache, nodes: list[subprocess.Popen[bytes]], stops: int) -> list[float]:
    took = []
    for node in nodes[:stops]:
        node.send_signal(signal.SIGSTOP)
        try:
            took.append(_strict(cache, "held:0"))
        finally:
            node.send_signal(signal.SIGCONT)
    return took


def _dependents(cache: Cache, sizes: Sizes) -> Spread:
    """Strict on a key that much was derived from, and on one that nothing was, in turns."""
    graph = cache.stores.graph
    for number in range(sizes.dependents):
        # A tree: every tenth key has ten below it, so most are transitive dependents.
        above = "tree:root" if number < 10 else f"tree:{number // 10 - 1}"
        graph.link(f"tree:{number}", [above])
    # The purge of the first call brings the worker's snapshot up to date, once and for all.
    cache.invalidate("tree:root", consistency="strict").wait(RECEIPT_S, purged=False)
    _idle(cache)
    ratios = []
    for _ in range(sizes.rounds):
        with_them = _strict(cache, "tree:root")
        _idle(cache)
        without = _strict(cache, "lonely:root")
        _idle(cache)
        ratios.append(with_them / without)
    return Spread.of(ratios)


def _idle(cache: Cache) -> None:
    """Wait until the worker has done what came after the receipt."""
    begin = time.monotonic()
    while time.monotonic() - begin < RECEIPT_S:
        took = median(_strict(cache, "idle:key") for _ in range(3))
        if took < 0.05:
            return


@contextmanager
def _worker(server: Bed) -> Iterator[None]:
    """The worker of immediate work, with the command line and the configuration that ship."""
    root = application_root()
    assert root is not None
    state = State(server.state)
    state.create()
    services = application_services(root, state, load(), _environment(server))
    (immediate,) = [service for service in services if service.name == "immediate"]
    log = server.state / "worker.log"
    with Guardian() as guardian, log.open("ab") as output:
        env = os.environ | dict(immediate.env)
        process = spawn(immediate.argv, guardian, output=output, env=env, cwd=root)
        try:
            _await(lambda: bool(immediate.ready.search(log.read_text().strip())))
            yield
        finally:
            process.terminate()
            process.wait()
            guardian.remove(process.pid)


@contextmanager
def _nodes(server: Bed, count: int) -> Iterator[list[subprocess.Popen[bytes]]]:
    env = os.environ | _environment(server)
    command = [sys.executable, "-m", "bench.node"]
    with ExitStack() as stack:
        nodes = []
        for _ in range(count):
            node = stack.enter_context(
                subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            )
            nodes.append(node)
        for node in nodes:
            assert node.stdout is not None
            node.stdout.readline()
        yield nodes


def _environment(server: Bed) -> dict[str, str]:
    return {
        f"{PREFIX}STATE": str(server.state),
        f"{PREFIX}BROKER_URL": server.url,
        f"{PREFIX}CACHE_URL": server.url,
    }


def _await(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + READY_S
    while not holds():
        if time.monotonic() > end:
            raise RuntimeError(f"not ready after {READY_S:g} s")
        time.sleep(0.05)
