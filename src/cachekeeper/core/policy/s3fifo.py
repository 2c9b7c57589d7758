"""S3-FIFO: three queues instead of an order of accesses (Yang et al., SOSP 2023).

A newcomer joins the small queue, a tenth of the capacity. At its end, what was read twice or more
moves to the main queue; the rest goes, and is remembered as a ghost. A ghost that is asked for
again joins the main queue at once. At the end of the main queue, what was read since goes back to
its beginning and has one of at most three reads taken off.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from cachekeeper.core.policy.port import Admitting

SMALL: Final = 0.1  # of the capacity
GHOSTS: Final = 0.9  # of the capacity
PROMOTED: Final = 2  # reads
MOST_READS: Final = 3

Queue = OrderedDict[str, tuple[int, int]]  # reads, size


class S3FIFO(Admitting):
    """See the module. State of an entry: its size, queue, reads."""

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        self._small: Queue = OrderedDict()
        self._main: Queue = OrderedDict()
        self._main_used = 0
        self._main_capacity = capacity - int(capacity * SMALL)
        self._ghosts: OrderedDict[str, int] = OrderedDict()  # sizes
        self._ghosts_used = 0
        self._ghosts_capacity = int(capacity * GHOSTS)

    def _take(self, key: str, size: int, now: float, weight: float) -> None:
        remembered = self._ghosts.pop(key, None)
        if remembered is None:
            self._small[key] = (0, size)
        else:
            self._ghosts_used -= remembered
            self._main[key] = (0, size)
            self._main_used += size

    def _read(self, key: str, size: int, now: float) -> None:
        queue = self._small if key in self._small else self._main
        reads, before = queue[key]
        queue[key] = (min(reads + 1, MOST_READS), size)
        if queue is self._main:
            self._main_used += size - before

    def _drop(self, key: str) -> None:
        if self._small.pop(key, None) is None:
            self._main_used -= self._main.pop(key)[1]

    def _next_victim(self) -> str:
        while True:
            if self._small and self._main_used <= self._main_capacity:
                key, (reads, size) = self._small.popitem(last=False)
                if reads < PROMOTED:
                    self._remember(key, size)
                    return key
                self._main[key] = (0, size)
                self._main_used += size
            else:
                key, (reads, size) = self._main.popitem(last=False)
                if not reads:
                    self._main_used -= size
                    return key
                self._main[key] = (reads - 1, size)

    def _remember(self, key: str, size: int) -> None:
        self._ghosts[key] = size
        self._ghosts_used += size
        while self._ghosts_used > self._ghosts_capacity:
            self._ghosts_used -= self._ghosts.popitem(last=False)[1]
