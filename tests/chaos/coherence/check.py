"""The judgement: which reads saw something older than they were allowed to.

A strict invalidation that returned success forbids older values from that moment on; an eventual
one 5 s later, a relaxed one 30 s later. So each value that was ever read has one moment after
which nobody may begin to read it; finding it once makes judging a million reads cheap.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from cachekeeper.core.strategy import CONSISTENCIES, Consistency
from tests.chaos.coherence.history import (
    HITS,
    NO_VALUE,
    Fault,
    How,
    Read,
    Write,
    read_reads,
    read_values,
    read_writes,
)
from tests.chaos.coherence.world import KEYS, SOURCES, ancestors, source_key, unpack

#: A read so soon after a strict success is one that a race could have made stale.
NEAR_S: Final = 0.1
STALE_KEPT: Final = 20
AROUND_S: Final = 3.0
#: What a fault may still explain after it is over: a process starts, a node is outwaited.
AFTER_S: Final = 2.0


class Forbidden(NamedTuple):
    """From when on a version of a source is too old, and what made it so."""

    since: float
    source: int
    write: Write | None


NEVER: Final = Forbidden(math.inf, -1, None)


class Rules:
    """From when on each version of each source may not be read any more."""

    def __init__(self, writes: Iterable[Write]) -> None:
        self._versions: list[list[int]] = [[] for _ in range(SOURCES)]
        self._since: list[list[Forbidden]] = [[] for _ in range(SOURCES)]
        promised: list[list[Write]] = [[] for _ in range(SOURCES)]
        for write in writes:
            if write.status == "done":
                promised[write.source].append(write)
        for source, kept in enumerate(promised):
            kept.sort(key=lambda write: write.version, reverse=True)
            soonest = NEVER
            for write in kept:  # a later version forbids the older ones too
                delay_s = CONSISTENCIES[Consistency(write.consistency)].delay_s
                soonest = min(soonest, Forbidden(write.returned + delay_s, source, write))
                self._versions[source].append(write.version)
                self._since[source].append(soonest)
            self._versions[source].reverse()
            self._since[source].reverse()

    def of_version(self, source: int, version: int) -> Forbidden:
        """From when on that version of one source is too old."""
        later = bisect_right(self._versions[source], version)
        return self._since[source][later] if later < len(self._since[source]) else NEVER

    def of_value(self, body: bytes) -> Forbidden:
        """From when on a value is too old."""
        found = (self.of_version(*pair) for pair in unpack(body).items())
        return min(found, key=lambda forbidden: forbidden.since, default=NEVER)


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


def judge(folder: Path) -> tuple[Verdict, list[Write]]:
    """Judge the history in a folder."""
    writes = read_writes(folder)
    rules, near, verdict = Rules(writes), _Near(writes), Verdict()
    for path in sorted(folder.glob("*.reads")):
        values = read_values(path.with_suffix(".values"))
        limits = {number: rules.of_value(body) for number, body in values.items()}
        limits[NO_VALUE] = NEVER
        for read in read_reads(path):
            _judge(verdict, read, near)
            if read.begin > limits[read.value].since:
                versions = unpack(values[read.value])
                verdict.stale_by[How(read.how).name.lower()] += 1
                verdict.stale += 1
                if len(verdict.stale_shown) < STALE_KEPT:
                    stale = Stale(path.stem, read, versions, limits[read.value])
                    verdict.stale_shown.append(stale)
    return verdict, writes


def _judge(verdict: Verdict, read: Read, near: _Near) -> None:
    how = How(read.how)
    verdict.ends[how] += 1
    if read.alone and how is not How.ERROR:
        verdict.alone_asked[How(read.alone - 1)] += 1
        verdict.alone_hits[how] += how in HITS
    if how in (How.MISS, How.ERROR):
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
            self._times.append(sorted(write.returned for write in done if write.source in of))

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
        f"  version {write.version} ({write.consistency}, by {write.writer}):",
        f"  called {at(write.called)}, returned {at(write.returned)}",
        f"  forbidden {at(forbidden.since)}",
    ]
    return "\n".join([*lines, *around])
