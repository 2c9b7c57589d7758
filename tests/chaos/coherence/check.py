"""The judgement: which reads saw something older than they were allowed to.

Each value that was ever read has one moment after which nobody may begin to read it; finding it
once makes judging a million reads cheap.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

from cachekeeper.core.strategy import Consistency
from tests.chaos.coherence.history import (
    ANSWERS,
    ASYNC,
    HITS,
    NO_VALUE,
    Edge,
    Fault,
    How,
    Read,
    Write,
    read_edges,
    read_reads,
    read_values,
    read_writes,
)
from tests.chaos.coherence.rules import Forbidden, Rules
from tests.chaos.coherence.world import KEYS, SOURCE_OF, ancestors, source_key, unpack

#: A read so soon after a strict success is one that a race could have made stale.
NEAR_S: Final = 0.1
STALE_KEPT: Final = 20
AROUND_S: Final = 3.0
#: What a fault may still explain after it is over: a process starts, a node is outwaited.
AFTER_S: Final = 2.0


class Stale(NamedTuple):
    """A read that went back in time."""

    process: str
    read: Read
    versions: dict[int, int]
    forbidden: Forbidden


@dataclass
class Verdict:
    """What a history comes to."""

    reads: int = 0
    by: Counter[str] = field(default_factory=Counter)  # of the reads, who read
    near: int = 0
    ends: Counter[How] = field(default_factory=Counter)
    alone_asked: Counter[How] = field(default_factory=Counter)  # by tier
    alone_hits: Counter[How] = field(default_factory=Counter)
    stale: int = 0
    stale_by: Counter[str] = field(default_factory=Counter)  # tier, or loader
    stale_shown: list[Stale] = field(default_factory=list)
    longest_read_s: float = 0.0

    @property
    def hits(self) -> int:
        """Reads that a tier answered."""
        return sum(self.ends[how] for how in HITS)


def judge(folder: Path) -> tuple[Verdict, list[Write], list[Edge]]:
    """Judge the history in a folder; returns the writes and the declarations too."""
    writes, edges = read_writes(folder), read_edges(folder)
    rules, near, verdict = Rules(writes, edges), _Near(writes), Verdict()
    for path in sorted(folder.glob("*.reads")):
        values = read_values(path.with_suffix(".values"))
        limit = _limits(rules, values)
        before = verdict.reads
        for read in read_reads(path):
            _count(verdict, read, near)
            if read.value != NO_VALUE and read.begin > (forbidden := limit(read)).since:
                verdict.stale_by[How(read.how).name.lower()] += 1
                verdict.stale += 1
                if len(verdict.stale_shown) < STALE_KEPT:
                    stale = Stale(path.stem, read, unpack(values[read.value]), forbidden)
                    verdict.stale_shown.append(stale)
        verdict.by[_reader(path.stem)] += verdict.reads - before
    return verdict, writes, edges


def _limits(rules: Rules, values: Mapping[int, bytes]) -> Callable[[Read], Forbidden]:
    """From when on a value may not be read any more, found once for each key that has it."""

    @cache
    def of(key: int, value: int) -> Forbidden:
        return rules.of_value(KEYS[key], values[value])

    return lambda read: of(read.key, read.value)


def _reader(name: str) -> str:
    if "-fork" in name:
        return "child of a fork"
    if name.endswith("-memory"):
        return "memory alone"
    return "AsyncCache" if name.startswith(ASYNC) else "Cache"


def _count(verdict: Verdict, read: Read, near: _Near) -> None:
    how = How(read.how)
    verdict.ends[how] += 1
    if read.alone and how is not How.ERROR:
        verdict.alone_asked[How(read.alone - 1)] += 1
        verdict.alone_hits[how] += how in HITS
    if how not in ANSWERS:
        return
    verdict.reads += 1
    verdict.near += near.to(read)
    verdict.longest_read_s = max(verdict.longest_read_s, read.end - read.begin)


class _Near:
    """Which reads begin right after a strict success on their key or on what it is made from."""

    def __init__(self, writes: Iterable[Write]) -> None:
        done = [w for w in writes if w.status == "done" and w.consistency == Consistency.STRICT]
        self._times: list[Sequence[float]] = []
        for key in KEYS:
            of = ancestors(key)
            self._times.append(
                sorted(
                    write.returned
                    for write in done
                    if write.source in of and (write.cascades or key in SOURCE_OF)
                )
            )

    def to(self, read: Read) -> bool:
        """Whether it does."""
        times = self._times[read.key]
        last = bisect_left(times, read.begin) - 1
        return last >= 0 and read.begin - times[last] <= NEAR_S


def strict(writes: Iterable[Write], faults: Sequence[Fault], *, during: bool) -> list[Write]:
    """The strict writes that a fault, or what it left behind, was on during; or none was."""
    return [
        write
        for write in writes
        if write.consistency == Consistency.STRICT
        and during
        == any(f.begin <= write.returned and write.called <= f.end + AFTER_S for f in faults)
    ]


def describe(stale: Stale, faults: Iterable[Fault]) -> str:
    """A stale read, with the write, the invalidation and the faults around it."""
    read, forbidden = stale.read, stale.forbidden
    write = forbidden.write
    assert write is not None

    def at(moment: float) -> str:
        return f"{moment - read.begin:+.4f} s"

    around = [
        f"  {fault.name}: {at(fault.begin)} to {at(fault.end)}"
        for fault in faults
        if fault.begin - AROUND_S < read.begin < fault.end + AROUND_S
    ]
    saw = stale.versions[write.source]
    alone = " alone" if read.alone else ""
    lines = [
        f"stale read of {KEYS[read.key]} by {stale.process}",
        f"  from {How(read.how).name.lower()}{alone}, took {read.end - read.begin:.4f} s",
        f"  saw {source_key(write.source)} at version {saw}",
        f"  version {write.version} (by {write.writer}):",
        f"  {write.consistency}, {write.strategy}, by its {write.seed}",
        f"  called {at(write.called)}, returned {at(write.returned)}",
        f"  forbidden {at(forbidden.since)}",
    ]
    return "\n".join([*lines, *around])
