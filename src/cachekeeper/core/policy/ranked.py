"""Keys in the order of a score that mostly rises: a heap that is put right only where it is read.

An access that raises a score, which is nearly every one, costs a dictionary entry: what the heap
says of the key is a lower bound then, and the key is moved when it comes to the top. A score that
falls is pushed at once. Lowest first; of equal scores the lesser key, as in a sorted set of Redis.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush, heapreplace
from typing import Final, Generic, TypeVar

#: A number, or numbers of which the first that differs decides.
Score = TypeVar("Score", float, tuple[int, int])

#: Outdated places in the heap are cleared away when they outnumber the keys by this.
SLACK: Final = 64


class Ranked(Generic[Score]):
    """Scores of keys; O(log n) to take the lowest, spread over the calls."""

    __slots__ = ("_heap", "_placed", "_scores")

    def __init__(self) -> None:
        self._scores: dict[str, tuple[Score, str]] = {}
        self._placed: dict[str, tuple[Score, str]] = {}  # the place in the heap that counts
        self._heap: list[tuple[Score, str]] = []

    def __len__(self) -> int:
        return len(self._scores)

    def put(self, key: str, score: Score) -> None:
        """Set the score of a key, new or not."""
        place = (score, key)
        self._scores[key] = place
        placed = self._placed.get(key)
        if placed is None or place < placed:
            self._placed[key] = place
            heappush(self._heap, place)
            if len(self._heap) > 2 * len(self._scores) + SLACK:
                self._clear_away()

    def remove(self, key: str) -> None:
        """Forget a key."""
        del self._scores[key], self._placed[key]

    def score(self, key: str) -> Score:
        """The score of a key."""
        return self._scores[key][0]

    def lowest(self) -> tuple[Score, str]:
        """The lowest score with its key; there is one."""
        heap, placed = self._heap, self._placed
        while True:
            place = heap[0]
            key = place[1]
            if placed.get(key) is not place:
                heappop(heap)
                continue
            current = self._scores[key]
            if current is place:
                return place
            placed[key] = current
            heapreplace(heap, current)

    def pop(self) -> tuple[Score, str]:
        """Take out the key with the lowest score; there is one."""
        place = self.lowest()
        heappop(self._heap)
        del self._scores[place[1]], self._placed[place[1]]
        return place

    def _clear_away(self) -> None:
        self._heap = list(self._scores.values())
        self._placed = dict(self._scores)
        heapify(self._heap)
