"""The rules: from when on a value is too old to be read.

A strict invalidation that returned success forbids older values from that moment on; an eventual
one 5 s later, a relaxed one 30 s later. One that waited in a batch returns when the batch was done:
what it promises counts from then, never from its acceptance. One that does not cascade forbids only
the value of its own key. A dependency that was declared afterwards, of one value, forbids that
value, and what was made of it, once the declaration has returned.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable
from itertools import groupby
from typing import Final, NamedTuple

from cachekeeper.core.strategy import CONSISTENCIES, Consistency
from tests.chaos.coherence.history import Edge, Write
from tests.chaos.coherence.world import (
    DECLARED,
    NUMBER_OF,
    SOURCE_OF,
    ancestors,
    unpack,
)

#: What was invalidated before it was declared is invalidated by the declaration, at this level.
WHEN_LATE_S: Final = CONSISTENCIES[Consistency.EVENTUAL].delay_s


class Forbidden(NamedTuple):
    """From when on a version of a source is too old, and what made it so."""

    since: float
    source: int
    write: Write | None


NEVER: Final = Forbidden(math.inf, -1, None)


class Rules:
    """From when on each value may not be read any more."""

    def __init__(self, writes: Iterable[Write], edges: Iterable[Edge] = ()) -> None:
        done = sorted(
            (write for write in writes if write.status == "done"),
            key=lambda write: (write.source, write.version),
        )
        by_source = {source: list(found) for source, found in groupby(done, lambda w: w.source)}
        self._of_key = {source: _Versions(found) for source, found in by_source.items()}
        self._below = {
            source: _Versions([write for write in found if write.cascades])
            for source, found in by_source.items()
        }
        self._declared: dict[tuple[str, int], list[Edge]] = {}
        for edge in edges:
            self._declared.setdefault((edge.key, edge.number), []).append(edge)

    def of_value(self, key: str, body: bytes) -> Forbidden:
        """From when on a value of a key is too old."""
        versions = unpack(body)
        versions_of = self._of_key if key in SOURCE_OF else self._below
        found = [
            versions_of[source].after(versions[source])
            for source in ancestors(key)
            if source in versions_of
        ]
        for name, place in NUMBER_OF.items():
            if place in versions:
                found += self._of_declared(name, versions[place], versions)
        return min(found, key=lambda forbidden: forbidden.since, default=NEVER)

    def _of_declared(self, name: str, number: int, versions: dict[int, int]) -> Iterable[Forbidden]:
        """What the declarations of the value with a number forbid."""
        edges = self._declared.get((name, number))
        if not edges:
            return
        declared = min(edge.returned for edge in edges)
        # What was marked before may have been declared too late: then it is marked anew.
        settled = min(math.inf if edge.settled is None else edge.settled for edge in edges)
        for source in ancestors(DECLARED[name]):
            if source in self._below:
                known, late = self._below[source].since_declared(versions[source], declared)
                yield known
                for write in late:
                    yield Forbidden(max(_since(write), settled + WHEN_LATE_S), source, write)


class _Versions:
    """From when on each version of one source is too old, for what its writes cover."""

    def __init__(self, writes: list[Write]) -> None:
        self._writes = writes  # by version, and so by time: a source has one writer
        self._soonest = [NEVER]
        for write in reversed(writes):  # a later version forbids the older ones too
            candidate = Forbidden(_since(write), write.source, write)
            soonest = min(self._soonest[-1], candidate, key=lambda forbidden: forbidden.since)
            self._soonest.append(soonest)
        self._soonest.reverse()

    def after(self, version: int) -> Forbidden:
        """From when on that version is too old."""
        return self._soonest[self._later_than(version)]

    def since_declared(self, version: int, declared: float) -> tuple[Forbidden, list[Write]]:
        """The same, by writes that began once something had been declared; and those before."""
        first = self._later_than(version)
        begun = bisect_right(self._writes, declared, lo=first, key=lambda write: write.called)
        return self._soonest[begun], self._writes[first:begun]

    def _later_than(self, version: int) -> int:
        return bisect_right(self._writes, version, key=lambda write: write.version)


def _since(write: Write) -> float:
    return write.returned + CONSISTENCIES[Consistency(write.consistency)].delay_s
