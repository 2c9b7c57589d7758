"""LRU: what was read longest ago goes first. Everybody's measure; a scan empties it."""

from __future__ import annotations

from collections import OrderedDict

from cachekeeper.core.policy.port import Admitting


class LRU(Admitting):
    """Least recently used.

    State of an entry: its size and its place in the order of accesses. A sorted set scored by a
    counter of accesses gives the same order.
    """

    _sizes: OrderedDict[str, int]  # a dictionary finds its first key slowly after deletions

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        self._sizes = OrderedDict()

    def _take(self, key: str, size: int, now: float, weight: float) -> None:
        pass  # a new entry is the last in order already

    def _read(self, key: str, size: int, now: float) -> None:
        self._sizes.move_to_end(key)

    def _drop(self, key: str) -> None:
        pass

    def _next_victim(self) -> str:
        return next(iter(self._sizes))
