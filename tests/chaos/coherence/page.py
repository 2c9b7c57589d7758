"""What a run came to, as a page of the documentation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from tests.chaos.coherence.cluster import ACK_TIMEOUT_S, DRIFT_S, LEASE_S, PERIODS

INTRODUCTION: Final = """\
Written by `python -m tests.chaos.coherence --ablations --table docs/coherence.md`. Processes with a
cache read, others write and invalidate; meanwhile everything is stopped, cut off, killed, emptied
and rolled back. Then the history of it is judged: no read that begins after a strict invalidation
returned success may reflect anything older, whatever tier or loader it comes from; none 5 s after
an eventual one, none 30 s after a relaxed one. What waits for beat counts from the receipt that
says it is done."""
SETTINGS: Final = (
    f"Lease {LEASE_S} s, timeout of acknowledgements {ACK_TIMEOUT_S} s, drift {DRIFT_S} s; beat "
    f"flushes what waits every {PERIODS['SCHEDULED_FLUSH_S']} s."
)
OPERATIONS: Final = """\
How often each was done. A write is a new version of a source and the request that invalidates it;
`unknown` are those that could not be confirmed, and those whose writer was killed half-way."""
SEEDS: Final = {
    "key": "the key of the source",
    "value": "its key with `cascade=False`: the value alone",
    "several": "two sources in one request, one by its key and one by its tag",
    "tag": "a tag",
    "namespace": "a namespace",
}
WRITERS: Final = {
    "service": "what a worker calls, in the writer's process",
    "client": "`Cache.invalidate`, through broker and worker",
    "async client": "`AsyncCache.invalidate`, through broker and worker",
}
READERS: Final = {
    "Cache": "`Cache`, one after the other",
    "AsyncCache": "`AsyncCache`, several at the same time",
    "memory alone": "the memory tier alone, from a thread beside",
    "child of a fork": "a `Cache` that was inherited over a fork",
}
ABLATIONS: Final = """\
A checker that finds nothing may be blind. So each rule is taken out in turn, in the processes of
the checker only, and stale reads have to appear."""
ENDINGS: Final = ("done", "failed", "unknown")


def page(found: dict[str, Any]) -> str:
    """The page of the figures of ``report.figures``."""
    ends = found["ends"]
    parts = [
        "# Coherence, checked",
        INTRODUCTION,
        SETTINGS,
        "## The run",
        _table(("what", "figure"), _run(found)),
        "## Strict invalidations",
        _table(("", "calls", *ENDINGS, "p50 ms", "p99 ms"), _strict(found)),
        "The times are of what is dispatched at once: the rest waits for beat.",
        "## Operations",
        OPERATIONS,
        _table(("writes, by strategy and consistency", *ENDINGS), _ended(found["writes"])),
        _table(("writes, by what was invalidated", *ENDINGS), _ended(found["seeds"], SEEDS)),
        _table(("writes, by who invalidated", *ENDINGS), _ended(found["writers"], WRITERS)),
        _table(("reads, by who read", "times"), _named(found["by"], READERS)),
        _table(
            ("other", "times"),
            [
                ("fenced fill: stored", f"{ends['filled']:,}"),
                ("fenced fill: refused, since it was stale by then", f"{ends['refused']:,}"),
                ("awaited read given up by its caller", f"{ends['given_up']:,}"),
                ("`depend`", f"{found['declared']['done']:,}"),
                ("`depend` too late: the value was invalidated", f"{found['declared']['late']:,}"),
            ],
        ),
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


def _run(found: dict[str, Any]) -> Iterable[tuple[str, str]]:
    ends, alone = found["ends"], found["alone"]
    return [
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


def _strict(found: dict[str, Any]) -> Iterable[Sequence[object]]:
    names = {"quiet": "without faults", "faults": "under faults"}
    for when, of in found["strict"].items():
        yield names[when], of["calls"], *(of[end] for end in ENDINGS), of["p50_ms"], of["p99_ms"]


def _ended(
    found: dict[str, dict[str, int]], names: dict[str, str] | None = None
) -> Iterable[Sequence[object]]:
    for kind, ended in found.items():
        yield kind if names is None else names[kind], *(f"{ended[end]:,}" for end in ENDINGS)


def _named(found: dict[str, int], names: dict[str, str]) -> Iterable[Sequence[object]]:
    return [(names[kind], f"{times:,}") for kind, times in sorted(found.items())]


def _table(head: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)
