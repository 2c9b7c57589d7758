"""W-TinyLFU: a small window, and a main part that has to be earned (Einziger et al., TOS 2017).

A newcomer joins the window, a hundredth of the capacity, in the order of accesses; one larger than
the window is a candidate at once. What falls out of the window is a candidate for the main part: it
is admitted when it was asked for more often than all that would have to go for it together (as
sizes differ: Einziger et al. 2021, aggregated victims), and goes otherwise. The main part has two
segments: one fifth on probation, four for what was read there.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from itertools import chain
from typing import Final

from cachekeeper.core.policy.counts import Counts
from cachekeeper.core.policy.port import checked_capacity

WINDOW: Final = 0.01  # of the capacity
PROTECTED: Final = 0.8  # of the main part


class Segment(OrderedDict[str, int]):
    """Sizes by key in the order of accesses, and their sum."""

    def __init__(self, capacity: int) -> None:
        super().__init__()
        self.capacity = capacity
        self.used = 0

    def take(self, key: str, size: int) -> None:
        """Put a key at the end."""
        self[key] = size
        self.used += size

    def drop(self, key: str) -> int:
        """Take a key out; returns its size."""
        size = self.pop(key)
        self.used -= size
        return size

    def oldest(self) -> tuple[str, int]:
        """Take the first out."""
        key, size = self.popitem(last=False)
        self.used -= size
        return key, size


class WTinyLFU:
    """See the module. State of an entry: its size, segment and place there, count."""

    def __init__(self, capacity: int) -> None:
        self.capacity = checked_capacity(capacity)
        self._window = Segment(max(1, int(capacity * WINDOW)))
        self._main_capacity = capacity - self._window.capacity
        self._probation = Segment(self._main_capacity)
        self._protected = Segment(int(self._main_capacity * PROTECTED))
        self._counts = Counts()

    @property
    def used(self) -> int:
        """See ``Policy.used``."""
        return self._window.used + self._probation.used + self._protected.used

    def __len__(self) -> int:
        return len(self._window) + len(self._probation) + len(self._protected)

    def __contains__(self, key: str) -> bool:
        return key in self._protected or key in self._probation or key in self._window

    def on_hit(self, key: str, size: int, now: float) -> Sequence[str]:
        """See ``Policy.on_hit``."""
        self._counts.add(key, len(self))
        segment = self._segment(key)
        grown = size != segment[key]
        segment.drop(key)
        if size > self.capacity:
            return [key]
        (segment if segment is self._window else self._protected).take(key, size)
        while self._protected.used > self._protected.capacity:
            self._probation.take(*self._protected.oldest())
        return self._fit() if grown else ()

    def on_insert(
        self, key: str, size: int, now: float, weight: float = 1.0
    ) -> Sequence[str] | None:
        """See ``Policy.on_insert``."""
        self._counts.add(key, len(self))
        if size > self._window.capacity:
            return self._admit(key, size)
        self._window.take(key, size)
        return self._fit()

    def on_remove(self, key: str) -> None:
        """See ``Policy.on_remove``."""
        self._segment(key).drop(key)

    def evict(self, wanted: int) -> list[str]:
        """See ``Policy.evict``."""
        victims = []
        while len(self) and self.capacity - self.used < wanted:
            segment = self._probation or self._protected or self._window
            victims.append(segment.oldest()[0])
        return victims

    def _segment(self, key: str) -> Segment:
        for segment in (self._protected, self._probation):
            if key in segment:
                return segment
        return self._window

    def _fit(self) -> list[str]:
        """Put both parts within their bytes; returns the victims."""
        victims = []
        while self._probation.used + self._protected.used > self._main_capacity:
            victims.append((self._probation or self._protected).oldest()[0])
        while self._window.used > self._window.capacity:
            candidate, size = self._window.oldest()
            gone = self._admit(candidate, size)
            victims += [candidate] if gone is None else gone
        return victims

    def _admit(self, key: str, size: int) -> list[str] | None:
        """Let a candidate into the main part; returns the victims, None when it is refused."""
        room = self._main_capacity - self._probation.used - self._protected.used
        if room < size:
            if size > self._main_capacity:
                return None
            count, victims = self._counts.of(key), []
            for victim, freed in chain(self._probation.items(), self._protected.items()):
                count -= self._counts.of(victim)
                if count <= 0:
                    return None
                victims.append(victim)
                room += freed
                if room >= size:
                    break
            for victim in victims:
                self._segment(victim).drop(victim)
        else:
            victims = []
        self._probation.take(key, size)
        return victims
