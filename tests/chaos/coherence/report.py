"""What a run came to, as figures and as a page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from tests.chaos.coherence.ablations import Caught
from tests.chaos.coherence.check import strict
from tests.chaos.coherence.cluster import ACK_TIMEOUT_S, DRIFT_S, LEASE_S
from tests.chaos.coherence.history import HITS, How, Write
from tests.chaos.coherence.run import Outcome

#: What a long run has to reach.
LEAST_READS: Final = 1_000_000
LEAST_NEAR: Final = 100_000
LEAST_HITS: Final = 0.5
LEAST_STRICT: Final = {"quiet": 0.99, "faults": 0.5}

INTRODUCTION: Final = """\
Written by `python -m tests.chaos.coherence --ablations --table docs/coherence.md`. Processes with a
cache read, others write and invalidate; meanwhile everything is stopped, cut off, killed, emptied
and rolled back. Then the history of it is judged: no read that begins after a strict invalidation
returned success may reflect anything older, whatever tier or loader it comes from; none 5 s after
an eventual one, none 30 s after a relaxed one."""
ABLATIONS: Final = """\
A checker that finds nothing may be blind. So each rule is taken out in turn, in the processes of
the checker only, and stale reads have to appear."""


def figures(outcome: Outcome, caught: Sequence[Caught]) -> dict[str, Any]:
    """The run as plain JSON."""
    verdict = outcome.verdict
    ends = {how.name.lower(): verdict.ends[how] for how in How}
    return {
        "reads": verdict.reads,
        "stale": verdict.stale,
        "near": verdict.near,
        "hits": round(verdict.hits / max(1, verdict.reads), 4),
        "ends": ends,
        "alone": {
            how.name.lower(): _share(verdict.alone_hits, verdict.alone_asked, how) for how in HITS
        },
        "strict": {
            "quiet": _strict(strict(outcome.writes, outcome.faults, during=False)),
            "faults": _strict(strict(outcome.writes, outcome.faults, during=True)),
        },
        "writes": dict(Counter(f"{w.consistency} {w.status}" for w in outcome.writes)),
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
    return said


def page(found: dict[str, Any]) -> str:
    """The run as a page of the documentation."""
    ends, alone = found["ends"], found["alone"]
    rows = [
        ("reads judged", f"{found['reads']:,}"),
        ("**stale**", f"**{found['stale']}**"),
        ("begun within 100 ms after a strict success on what they read", f"{found['near']:,}"),
        ("hits, of all reads", f"{found['hits']:.1%}"),
        *((f"answered by {how}", f"{ends[how]:,}") for how in ("memory", "redis", "disk")),
        ("made by the loader", f"{ends['loader']:,}"),
        ("made by the loader with the server out of reach", f"{ends['bypass']:,}"),
        ("single tiers asked, nothing fresh there (not among the reads)", f"{ends['miss']:,}"),
        ("errors (not among the reads)", f"{ends['error']:,}"),
        *((f"hits of {tier}, asked alone", f"{share:.1%}") for tier, share in alone.items()),
        ("members, seconds", f"{found['members']}, {found['seconds']:.0f}"),
    ]
    strict_rows = [
        (
            {"quiet": "without faults", "faults": "under faults"}[when],
            of["calls"],
            of["done"],
            of["failed"],
            of["unknown"],
            of["p50_ms"],
            of["p99_ms"],
        )
        for when, of in found["strict"].items()
    ]
    parts = [
        "# Coherence, checked",
        INTRODUCTION,
        f"Lease {LEASE_S} s, timeout of acknowledgements {ACK_TIMEOUT_S} s, drift {DRIFT_S} s.",
        "## The run",
        _table(("what", "figure"), rows),
        "## Strict invalidations",
        _table(("", "calls", "done", "failed", "unknown", "p50 ms", "p99 ms"), strict_rows),
        "## Faults",
        _table(("fault", "times"), found["faults"].items()),
    ]
    if found["ablation_stale"]:
        ablations = [
            (rule, f"{stale:,}", f"{reads:,}", f"{stale / max(1, reads):.1%}")
            for rule, (stale, reads) in found["ablation_stale"].items()
        ]
        table = _table(("rule", "stale", "reads", "share"), ablations)
        parts += ["## With a rule taken out", ABLATIONS, table]
    return "\n\n".join(parts) + "\n"


def _table(head: Sequence[object], rows: Any) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def _strict(writes: Sequence[Write]) -> dict[str, Any]:
    took = sorted(write.returned - write.called for write in writes if write.status == "done")
    status = Counter(write.status for write in writes)
    return {
        "calls": len(writes),
        "done": status["done"],
        "failed": status["failed"],
        "unknown": len(writes) - status["done"] - status["failed"],
        "p50_ms": _percentile_ms(took, 0.5),
        "p99_ms": _percentile_ms(took, 0.99),
    }


def _percentile_ms(took: Sequence[float], share: float) -> float:
    return round(took[int(share * (len(took) - 1))] * 1000, 1) if took else 0.0


def _share(part: Counter[How], whole: Counter[How], how: How) -> float:
    return round(part[how] / max(1, whole[how]), 4)
