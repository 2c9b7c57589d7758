"""Ghosts: what is remembered of entries that were evicted or refused, oldest forgotten first."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass


@dataclass(slots=True)
class Seen:
    """What GDG-A knows of a key, held or remembered."""

    size: int
    f: float  # accesses, as they were worth at ``halvings``
    halvings: int  # how often all counts had been halved then
    again: bool  # seen more than once
    weight: float


class Ghosts:
    """Ghosts worth a number of bytes, in the order in which they became such."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._ghosts: OrderedDict[str, Seen] = OrderedDict()
        self._used = 0
        self.once = 0  # ghosts seen once
        self.again = 0  # and those seen again

    def __len__(self) -> int:
        return len(self._ghosts)

    def get(self, key: str) -> Seen | None:
        """What is remembered of a key."""
        return self._ghosts.get(key)

    def add(self, key: str, seen: Seen) -> None:
        """Remember a key that is no ghost, and forget the oldest beyond the bytes."""
        self._ghosts[key] = seen
        self._count(seen, 1)
        while self._used > self._capacity:
            self._count(self._ghosts.popitem(last=False)[1], -1)

    def remove(self, key: str) -> None:
        """Forget a ghost."""
        self._count(self._ghosts.pop(key), -1)

    def _count(self, seen: Seen, one: int) -> None:
        self._used += one * seen.size
        if seen.again:
            self.again += one
        else:
            self.once += one
