"""In which order a worker takes from its queues: by priority, and yet each has its turn.

Strictly by priority, a queue that never runs dry is the end of those below it. Here a turn is one
look at the queues (``take.lua``, which takes from the first that holds anything), and who is
looked at first goes like the marks of a ruler: the first queue at every second turn, the second
at every fourth, the third at every eighth, and so on; then come the others, by priority. So

- what is next in the queue with the index i is taken within 2^(i + 1) turns, however full the
  others are; the last has all marks that are left, and so waits no longer than the one before it;
- the first queue has at least half of all turns, and waits for one other at most;
- the share of a queue that holds nothing goes to the most urgent that does.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from cachekeeper.names import QUEUES

_RANK: Final = {queue: rank for rank, queue in enumerate(QUEUES)}


class PriorityWithTurns:
    """kombu's ``queue_order_strategy``: what its transport for Redis asks before each look."""

    def __init__(self) -> None:
        self._queues: list[str] = []
        self._turn = 0

    def update(self, queues: Iterable[str]) -> None:
        """Serve these from now on, in the order of ``names.QUEUES``; strangers come last."""
        self._queues = sorted(queues, key=lambda queue: _RANK.get(queue, len(_RANK)))

    def consume(self, n: int) -> list[str]:
        """The queues in the order of the next turn, at most ``n``."""
        if not self._queues:
            return []
        self._turn += 1
        first = min(_trailing_zeros(self._turn), len(self._queues) - 1)
        queues = self._queues
        return [queues[first], *queues[:first], *queues[first + 1 :]][:n]

    def rotate(self, last_used: str) -> str:
        """Called with where a message came from: nothing to do, as turns are counted by looks."""
        return last_used


def _trailing_zeros(number: int) -> int:
    return (number & -number).bit_length() - 1
