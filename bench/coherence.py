"""Whether a read ever goes back in time, and what a strict invalidation costs.

The costs are from the call to the receipt, through queue and worker. The rest is the checker's, in
processes of its own (``tests.chaos.coherence``), afterwards: it is not to disturb the times.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median, quantiles
from typing import Any, Final

from bench.harness import Options, Spread
from bench.machine import Machine
from bench.report import Figure, Report
from bench.servers import bed
from bench.workers import nodes as live_nodes
from bench.workers import worker
from cachekeeper import Cache
from cachekeeper.core.receipt import Status
from cachekeeper.local.services import application_root

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
    check: tuple[str, ...]  # how the checker is called, beside what is always said


FULL: Final = Sizes(nodes=8, calls=500, rounds=15, dependents=100_000, stops=5, check=())
QUICK: Final = Sizes(nodes=8, calls=120, rounds=5, dependents=5_000, stops=2, check=("--quick",))


def run(options: Options) -> Report:
    """Measure with the sizes that were asked for."""
    sizes = QUICK if options.quick else FULL
    with bed() as server, worker(server, "immediate"), server.cache(memory_bytes=0) as cache:
        machine = Machine.here(server.engine)
        time.sleep(GRACE_S)  # in which no strict request succeeds: nothing to poll for
        with live_nodes(server, sizes.nodes) as nodes:
            calls = _calls(cache, sizes.calls)
            stopped = _stopped(cache, nodes, sizes.stops)
        ratio = _dependents(cache, sizes)
        settings = cache.settings
    checked = _checked(sizes.check)
    cuts = quantiles(calls, n=100)
    form = "the short form of the checker" if options.quick else "the long form of the checker"
    figures = [
        Figure("strict_p50_ms", cuts[49], f"call to receipt, {sizes.nodes} live nodes", "ms"),
        Figure("strict_p99_ms", cuts[98], "the same", "ms"),
        Figure("stopped_node_max_s", max(stopped), "the same with a node stopped", "s"),
        Figure("ack_timeout_s", settings.ack_timeout_s, "setting", "s"),
        Figure("lease_s", settings.lease_s, "setting", "s"),
        Figure.median("strict_dependents_ratio", ratio, f"{sizes.dependents:,} dependents / none"),
        Figure("nodes", sizes.nodes, "processes with a memory tier"),
        Figure("reads", checked["reads"], f"judged, under faults: {form}"),
        Figure("stale", checked["stale"], "of them, older than what had been invalidated"),
        Figure("ablations", checked["ablations"], _taken_out(checked, options)),
        Figure("ablations_caught", checked["ablations_caught"], "runs of them with stale reads"),
    ]
    named = {name: size for name, size in asdict(sizes).items() if name != "check"}
    more = {name: checked[name] for name in ("near", "seed", "faults", "ablation_stale")}
    return Report("coherence", machine, options.quick, named, figures, {"checker": more})


def _checked(how: Sequence[str]) -> dict[str, Any]:
    """The figures of the checker, which ends with status 1 if there was anything to find."""
    command = [sys.executable, "-m", "tests.chaos.coherence", "--ablations", "--json", *how]
    done = subprocess.run(
        command, cwd=application_root(), stdout=subprocess.PIPE, text=True, check=False
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if not lines:
        raise RuntimeError(f"the checker ended with status {done.returncode} and no figures")
    figures: dict[str, Any] = json.loads(lines[-1])
    return figures


def _taken_out(checked: dict[str, Any], options: Options) -> str:
    """Which rules the checker had to miss."""
    rules = checked["ablation_stale"]
    return f"rules taken out in turn: {', '.join(rules) if options.quick else 'all there are'}"


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
        time.sleep(PAUSE_S)  # one call at a time is what is measured
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
