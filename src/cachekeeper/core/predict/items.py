"""What is known of each file: how often it was read, and what was read after it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import floor
from typing import Final

from cachekeeper.core.predict.factors import SLOTS

FOLLOWERS: Final = 10  # kept of a file, those seen most often
HALVED_AT: Final = 128  # reads: what is older counts less and less
SPARED: Final = 8  # files that were read since, when room is made for a new one
DAY_S: Final = 86400


@dataclass(slots=True)
class Item:
    """A file; counts by quarter of the day."""

    day: int  # when it was read last, days since 1970
    touched: bool = True  # since it was last looked at for room
    reads: list[int] = field(default_factory=lambda: [0] * SLOTS)
    followers: dict[str, list[int]] = field(default_factory=dict)

    def read(self, slot: int, day: int) -> None:
        """Count a read; halve all counts when they are many."""
        self.day, self.touched = day, True
        self.reads[slot] += 1
        if sum(self.reads) >= HALVED_AT:
            self.reads = [count // 2 for count in self.reads]
            halved = {p: [count // 2 for count in c] for p, c in self.followers.items()}
            self.followers = {path: counts for path, counts in halved.items() if any(counts)}

    def followed_by(self, path: str, slot: int) -> None:
        """Count that a file was read after it, in the place of the rarest one if there is none."""
        counts = self.followers.get(path)
        if counts is None:
            if len(self.followers) >= FOLLOWERS:
                del self.followers[min(self.followers, key=lambda p: sum(self.followers[p]))]
            counts = self.followers[path] = [0] * SLOTS
        counts[slot] += 1


class Items:
    """At most so many files. Beyond, one is forgotten that was not read for long.

    They stand in a queue. For a new one the first is forgotten, unless it was read since it came
    to the front: then it goes to the end once more (second chance).
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._items: dict[str, Item] = {}
        self._queue: deque[str] = deque()

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[tuple[str, Item]]:
        """The files in the order of the queue."""
        return ((path, self._items[path]) for path in self._queue)

    def get(self, path: str) -> Item | None:
        """A file, None when nothing is known of it."""
        return self._items.get(path)

    def read(self, path: str, slot: int, day: int) -> Item:
        """Count a read of a file, be it a new one."""
        item = self._items.get(path)
        if item is None:
            if len(self._items) >= self._capacity:
                self._make_room()
            item = Item(day)
            self.put(path, item)
        item.read(slot, day)
        return item

    def put(self, path: str, item: Item) -> None:
        """Take a file in at the end of the queue."""
        self._items[path] = item
        self._queue.append(path)

    def forget(self, before: int) -> int:
        """Forget files that were last read before a day; returns how many."""
        kept = [path for path in self._queue if self._items[path].day >= before]
        gone = len(self._queue) - len(kept)
        self._items = {path: self._items[path] for path in kept}
        self._queue = deque(kept)
        return gone

    def _make_room(self) -> None:
        for spared in range(SPARED + 1):
            path = self._queue.popleft()
            item = self._items[path]
            if not item.touched or spared == SPARED:
                del self._items[path]
                return
            item.touched = False
            self._queue.append(path)


def day_of(at: float) -> int:
    """Days since 1970."""
    return max(0, min(65535, floor(at / DAY_S)))
