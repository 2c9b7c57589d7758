"""LFU: what was read least often goes first, of equals what was read longest ago.

It never forgets what an entry was once worth, which is its weakness; an entry that has gone starts
again at one.
"""

from __future__ import annotations

from cachekeeper.core.policy.port import Admitting
from cachekeeper.core.policy.ranked import Ranked


class LFU(Admitting):
    """Least frequently used. State of an entry: its size, accesses, place in their order."""

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        self._ranks: Ranked[tuple[int, int]] = Ranked()  # accesses, place
        self._place = 0

    def _take(self, key: str, size: int, now: float, weight: float) -> None:
        self._place += 1
        self._ranks.put(key, (1, self._place))

    def _read(self, key: str, size: int, now: float) -> None:
        self._place += 1
        self._ranks.put(key, (self._ranks.score(key)[0] + 1, self._place))

    def _drop(self, key: str) -> None:
        self._ranks.remove(key)

    def _next_victim(self) -> str:
        return self._ranks.pop()[1]
