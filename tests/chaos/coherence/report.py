"""What a run came to, as figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from cachekeeper.core.strategy import STRATEGIES, Consistency, Strategy
from tests.chaos.coherence.ablations import Caught
from tests.chaos.coherence.check import strict
from tests.chaos.coherence.history import HITS, How, Write
from tests.chaos.coherence.run import Outcome

#: What a long run has to reach.
LEAST_READS: Final = 1_000_000
LEAST_NEAR: Final = 100_000
LEAST_HITS: Final = 0.5
LEAST_STRICT: Final = {"quiet": 0.99, "faults": 0.5}


def figures(outcome: Outcome, caught: Sequence[Caught]) -> dict[str, Any]:
    """The run as plain JSON."""
    verdict, writes = outcome.verdict, outcome.writes
    return {
        "reads": verdict.reads,
        "stale": verdict.stale,
        "stale_by": dict(verdict.stale_by),
        "near": verdict.near,
        "hits": round(verdict.hits / max(1, verdict.reads), 4),
        "ends": {how.name.lower(): verdict.ends[how] for how in How},
        "alone": {
            how.name.lower(): _share(verdict.alone_hits, verdict.alone_asked, how) for how in HITS
        },
        "by": dict(verdict.by),
        "strict": {
            when: _strict(strict(writes, outcome.faults, during=during))
            for when, during in (("quiet", False), ("faults", True))
        },
        "writes": _writes(writes),
        "seeds": _ended(writes, lambda write: write.seed),
        "writers": _ended(writes, lambda write: write.by),
        "declared": {
            "done": len(outcome.edges),
            "late": sum(edge.late for edge in outcome.edges),
            "late_settled": sum(edge.late and edge.settled is not None for edge in outcome.edges),
        },
        "faults": dict(sorted(Counter(fault.name for fault in outcome.faults).items())),
        "seconds": round(outcome.seconds, 1),
        "seed": outcome.plan.seed,
        "members": outcome.plan.members,
        "ablations": len(caught),
        "ablations_caught": sum(found.stale > 0 for found in caught),
        "ablation_stale": {found.rule: [found.stale, found.reads] for found in caught},
    }


def missed(found: dict[str, Any]) -> list[str]:
    """The bars that a run of full length did not reach, in words."""
    said = []
    if found["near"] < LEAST_NEAR:
        said.append(f"reads right after a strict success: {found['near']} of {LEAST_NEAR}")
    if found["hits"] < LEAST_HITS:
        said.append(f"hits: {found['hits']:.0%} of the reads, not {LEAST_HITS:.0%}")
    said += [
        f"hits of {tier}, asked alone: {share:.0%}, not {LEAST_HITS:.0%}"
        for tier, share in found["alone"].items()
        if share < LEAST_HITS
    ]
    for when, least in LEAST_STRICT.items():
        of_them = found["strict"][when]
        if of_them["calls"] and of_them["done"] < least * of_them["calls"]:
            said.append(f"strict, {when}: {of_them['done']} of {of_them['calls']}")
    said += [f"{kind}: never done" for kind, ended in found["writes"].items() if not ended["done"]]
    return said


def _strict(writes: Sequence[Write]) -> dict[str, Any]:
    """Of the times, only those of what was dispatched at once: the others wait for beat."""
    took = sorted(
        write.returned - write.called
        for write in writes
        if write.status == "done" and not STRATEGIES[Strategy(write.strategy)].waits
    )
    return {
        "calls": len(writes),
        **_statuses(writes),
        "p50_ms": _percentile_ms(took, 0.5),
        "p99_ms": _percentile_ms(took, 0.99),
    }


def _writes(writes: Sequence[Write]) -> dict[str, dict[str, int]]:
    """How each strategy at each consistency ended."""
    return {
        f"{strategy} {level}": _statuses(
            [w for w in writes if (w.strategy, w.consistency) == (strategy, level)]
        )
        for strategy in Strategy
        for level in Consistency
    }


def _ended(writes: Sequence[Write], kind: Callable[[Write], str]) -> dict[str, dict[str, int]]:
    kinds = sorted(set(map(kind, writes)))
    return {each: _statuses([write for write in writes if kind(write) == each]) for each in kinds}


def _statuses(writes: Iterable[Write]) -> dict[str, int]:
    """Whether it was done; those whose writer was killed count as unknown."""
    status = Counter(write.status for write in writes)
    unknown = status.total() - status["done"] - status["failed"]
    return {"done": status["done"], "failed": status["failed"], "unknown": unknown}


def _percentile_ms(took: Sequence[float], share: float) -> float:
    return round(took[int(share * (len(took) - 1))] * 1000, 1) if took else 0.0


def _share(part: Counter[How], whole: Counter[How], how: How) -> float:
    return round(part[how] / max(1, whole[how]), 4)
