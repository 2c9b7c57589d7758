"""GDG-A: greedy-dual with ghosts and adaptive probation. The default.

An entry is worth ``H = L + weight * w * f * (size + c0) / size``: how often it is asked for, times
what a miss of it costs (``c0`` for the trip and ``size`` for the bytes) by byte that it takes,
above ``L``, which rises to the H of each victim and so ages all others without touching them.

- ``c0`` is three times the mean size of all requests so far.
- ``f`` counts accesses, and outlives an eviction among the ghosts, which are worth twice the
  capacity. All counts are halved after more than 20 requests per entry known, held or ghost;
  each is put right when it is next used, from how often that has happened.
- ``w`` is 1 for what was seen before, and ``w1`` at first sight. A ghost that was seen once and is
  asked for again says that probation was too short, and raises ``w1``; one that had been seen
  again says that it took too much room, and lowers it.
- A newcomer that is worth less than what would have to go for it is refused, and remembered.

Greedy-dual: Young 1994; with sizes and frequencies (GDSF): Cherkasova 1998; adapting by ghosts:
Megiddo and Modha 2003 (ARC).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import exp
from typing import Final

from cachekeeper.core.policy.ghosts import Ghosts, Seen
from cachekeeper.core.policy.port import checked_capacity
from cachekeeper.core.policy.ranked import Ranked

TRIP: Final = 3.0  # what a miss costs beside its bytes, in mean sizes
HALVED_AFTER: Final = 20  # requests per entry known
GHOSTS: Final = 2  # times the capacity
FIRST_W1: Final = 0.3
LEAST_W1: Final = 0.02
MOST_W1: Final = 2.0
STEP: Final = 0.05  # of the logarithm of w1, for an entry of 1/200 of the capacity and above
WHOLE_STEP: Final = 200


class GDGA:
    """See the module. State: ``floor`` (L), ``w1``, and by entry ``Seen`` and its H."""

    def __init__(self, capacity: int) -> None:
        self.capacity = checked_capacity(capacity)
        self.used = 0
        self.floor = 0.0
        self.w1 = FIRST_W1
        self._held: dict[str, Seen] = {}
        self._worth: Ranked[float] = Ranked()  # H
        self._ghosts = Ghosts(GHOSTS * capacity)
        self._requests = 0
        self._requested = 0  # bytes
        self._halvings = 0
        self._since = 0  # requests since the last halving

    def __len__(self) -> int:
        return len(self._held)

    def __contains__(self, key: str) -> bool:
        return key in self._held

    def on_hit(self, key: str, size: int, now: float) -> Sequence[str]:
        """See ``Policy.on_hit``."""
        self._count(size)
        seen = self._held[key]
        if size != seen.size:
            if size > self.capacity:
                self.on_remove(key)
                return [key]
            self.used += size - seen.size
            seen.size = size
        self._again(seen)
        self._worth.put(key, self._value(seen, 1.0))
        return self.evict(0) if self.used > self.capacity else ()

    def on_insert(
        self,
        key: str,
        size: int,
        now: float,
        weight: float = 1.0,
    ) -> Sequence[str] | None:
        """See ``Policy.on_insert``."""
        self._count(size)
        if size > self.capacity:
            return None
        seen = self._ghosts.get(key)
        if seen is None:
            seen = Seen(size, 1.0, self._halvings, False, weight)
            value = self._value(seen, self.w1)
        else:
            self._adapt(seen.again, size)
            self._ghosts.remove(key)
            seen.size, seen.weight = size, weight
            self._again(seen)
            value = self._value(seen, 1.0)
        victims: Sequence[str] = ()
        if self.used + size > self.capacity:
            found = self._cheaper(value, size)
            if found is None:
                self._ghosts.add(key, seen)
                return None
            victims = found
        self._held[key] = seen
        self.used += size
        self._worth.put(key, value)
        return victims

    def on_remove(self, key: str) -> None:
        """See ``Policy.on_remove``; nothing is remembered."""
        self.used -= self._held.pop(key).size
        self._worth.remove(key)

    def evict(self, wanted: int) -> list[str]:
        """See ``Policy.evict``."""
        victims = []
        while self._held and self.capacity - self.used < wanted:
            value, key = self._worth.pop()
            self._let_go(key, value)
            victims.append(key)
        return victims

    def _cheaper(self, value: float, size: int) -> list[str] | None:
        """Evict for a newcomer; None when one of the victims would be worth more."""
        room = self.capacity - self.used
        taken: list[tuple[float, str]] = []
        while room < size:
            lowest = self._worth.lowest()
            if value < lowest[0]:
                for other, key in taken:
                    self._worth.put(key, other)
                first = taken[0][0] if taken else lowest[0]
                self.floor = max(self.floor, min(value, first))
                return None
            taken.append(self._worth.pop())
            room += self._held[lowest[1]].size
        for other, key in taken:
            self._let_go(key, other)
        return [key for _, key in taken]

    def _let_go(self, key: str, value: float) -> None:
        """Make an entry whose place is free already a ghost."""
        self.floor = max(self.floor, value)
        seen = self._held.pop(key)
        self.used -= seen.size
        self._ghosts.add(key, seen)

    def _value(self, seen: Seen, w: float) -> float:
        """H, with ``L`` as it is before anything is evicted."""
        c0 = TRIP * self._requested / self._requests
        size = max(1, seen.size)
        return self.floor + seen.weight * w * seen.f * (size + c0) / size

    def _again(self, seen: Seen) -> None:
        """One more access to what was seen before."""
        missed = self._halvings - seen.halvings
        if missed:
            seen.f /= 2.0**missed
            seen.halvings = self._halvings
        seen.f += 1.0
        seen.again = True

    def _count(self, size: int) -> None:
        """A request, before it is looked at."""
        self._requests += 1
        self._requested += size
        self._since += 1
        if self._since > HALVED_AFTER * (len(self._held) + len(self._ghosts)):
            self._halvings += 1
            self._since = 0

    def _adapt(self, again: bool, size: int) -> None:
        """A ghost is asked for: it should have been held longer, or others shorter."""
        step = STEP * min(1.0, WHOLE_STEP * size / self.capacity)
        once, more = max(1, self._ghosts.once), max(1, self._ghosts.again)
        if again:
            self.w1 = max(LEAST_W1, self.w1 / exp(min(step * max(1.0, once / more), 10.0)))
        else:
            self.w1 = min(MOST_W1, self.w1 * exp(min(step * max(1.0, more / once), 10.0)))
