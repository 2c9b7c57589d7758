"""Whether immediate work waits for a backlog: strict, through the queue, before 50,000 tasks.

Calls without and with a backlog take turns, on one server and with the same workers, so that both
meet the same noise. Both workers run as ``up`` starts them. The work is real (``bench.backlog``).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from statistics import median, quantiles
from typing import Final

from bench.backlog import TREE, Backlog
from bench.harness import Options, Spread, tell
from bench.machine import Machine
from bench.report import Figure, Report
from bench.servers import bed
from bench.workers import nodes, worker
from cachekeeper import Cache
from cachekeeper.core.receipt import Status

RECEIPT_S: Final = 30.0
PAUSE_S: Final = 0.01  # between two calls: what one costs, not how many fit
#: The workers are processes of their own, and meet a server that they have not seen before.
GRACE_S: Final = 2.0
WARM_UP: Final = 20


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured."""

    backlog: int
    trees: int
    rounds: int
    turns: int  # of a round
    calls: int  # of a turn, idle and as many behind the backlog
    nodes: int


FULL: Final = Sizes(backlog=50_000, trees=100, rounds=7, turns=6, calls=50, nodes=2)
QUICK: Final = Sizes(backlog=5000, trees=10, rounds=5, turns=4, calls=25, nodes=2)


@dataclass(frozen=True, slots=True)
class Turn:
    """Calls behind the backlog: how many tasks waited before the first, and after the last."""

    before: int
    after: int
    seconds: float


def run(options: Options) -> Report:
    """Measure with the sizes that were asked for."""
    sizes = QUICK if options.quick else FULL
    with (
        bed() as server,
        server.cache(memory_bytes=0) as cache,
        closing(Backlog(server, cache, sizes.trees)) as backlog,
        worker(server, "immediate"),
        worker(server, "general"),
        nodes(server, sizes.nodes),
    ):
        machine = Machine.here(server.engine)
        time.sleep(GRACE_S)  # in which no strict request succeeds: nothing to poll for
        idle, behind, turns = list[list[float]](), list[list[float]](), list[Turn]()
        for number in range(sizes.rounds):
            tell(f"round {number + 1} of {sizes.rounds}")
            backlog.fill()
            _calls(cache, WARM_UP)
            idle.append([])
            behind.append([])
            for _ in range(sizes.turns):
                backlog.grow(sizes.backlog - backlog.aside())
                idle[-1] += _calls(cache, sizes.calls)
                turns.append(_behind(cache, backlog, sizes.calls, behind[-1]))
    figures = _figures(idle, behind, turns)
    return Report("latency", machine, options.quick, asdict(sizes), figures)


def _behind(cache: Cache, backlog: Backlog, calls: int, took: list[float]) -> Turn:
    before = backlog.aside()
    backlog.put_back()
    begin = time.monotonic()
    took += _calls(cache, calls)
    after, seconds = backlog.waiting(), time.monotonic() - begin
    backlog.put_aside()
    return Turn(before, after, seconds)


def _calls(cache: Cache, calls: int) -> list[float]:
    """Milliseconds of strict invalidations, one after the other."""
    took = []
    for number in range(calls):
        begin = time.perf_counter()
        receipt = cache.invalidate(f"held:{number % 200}", consistency="strict").wait(RECEIPT_S)
        took.append(1000 * (time.perf_counter() - begin))
        if receipt.status is not Status.DONE:
            raise RuntimeError(f"strict ended as {receipt.status}: {receipt.error}")
        time.sleep(PAUSE_S)  # one call at a time is what is measured
    return took


def _figures(
    idle: Sequence[Sequence[float]], behind: Sequence[Sequence[float]], turns: Sequence[Turn]
) -> list[Figure]:
    done = [(turn.before - turn.after) / turn.seconds for turn in turns]
    return [
        _figure("idle_p50_ms", 50, idle, "call to receipt, strict, nothing else to do"),
        _figure("idle_p99_ms", 99, idle, "the same; of all rounds together"),
        _figure("backlog_p50_ms", 50, behind, "the same behind the backlog"),
        _figure("backlog_p99_ms", 99, behind, "the same; of all rounds together"),
        _ratio("p50_ratio", 50, behind, idle),
        _ratio("p99_ratio", 99, behind, idle),
        Figure("backlog", min(turn.before for turn in turns), "tasks before the first call"),
        Figure("backlog_left", min(turn.after for turn in turns), "after the last call"),
        Figure.median(
            "keys_per_s", Spread.of(TREE * rate for rate in done), f"by tasks of {TREE} keys each"
        ),
    ]


def _figure(key: str, cut: int, rounds: Sequence[Sequence[float]], what: str) -> Figure:
    each = [_cut(calls, cut) for calls in rounds]
    together = _cut([took for calls in rounds for took in calls], cut)
    return Figure(key, together, what, "ms", Spread(together, min(each), max(each)))


def _ratio(
    key: str, cut: int, behind: Sequence[Sequence[float]], idle: Sequence[Sequence[float]]
) -> Figure:
    ratios = [_cut(a, cut) / _cut(b, cut) for a, b in zip(behind, idle, strict=True)]
    return Figure.median(key, Spread.of(ratios), "behind the backlog / idle, round by round")


def _cut(calls: Sequence[float], cut: int) -> float:
    return median(calls) if cut == 50 else quantiles(calls, n=100)[cut - 1]
