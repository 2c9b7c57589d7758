"""In which order a worker takes from its queues: by priority, and yet each has its turn.

Strictly by priority, a queue that never runs dry is the end of those below it. Here a turn is one
look at the queues (``take.lua``, which takes from the first that holds anything), and who is
looked at first goes like the marks of a ruler: the first queue at every second turn, the second
at every fourth, the third at every eighth, and so on; then come the others, by priority. So

- what is next in the queue with the index i is taken within 2^(i + 1) turns, however full the
  others are; the last has all marks that are left, and so waits no longer than the one before it;
- the first queue has at least half of all turns, and waits for one other at most;
- the share of a queue that holds nothing goes to the most urgent that does.

A message that expired while it waited is no turn of its queue. Ticks of the schedule wait behind
those before them, which expired sooner: at a turn each, none would be met in time, for ever.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from cachekeeper.names import QUEUES

#: Expired messages that a queue may hand out within one of its turns: each costs a trip.
EXPIRED_AT_MOST: Final = 100

_RANK: Final = {queue: rank for rank, queue in enumerate(QUEUES)}


class PriorityWithTurns:
    """kombu's ``queue_order_strategy``: what its transport for Redis asks before each look."""

    def __init__(self) -> None:
        self._queues: list[str] = []
        self._turn = 0
        self._again: str | None = None  # whose turn it is once more
        self._expired = 0  # in a row

    def update(self, queues: Iterable[str]) -> None:
        """Serve these from now on, in the order of ``names.QUEUES``; strangers come last."""
        self._queues = sorted(queues, key=lambda queue: _RANK.get(queue, len(_RANK)))

    def consume(self, n: int) -> list[str]:
        """The queues in the order of the next turn, at most ``n``."""
        queues = self._queues
        if not queues:
            return []
        if self._again in queues:
            first = queues.index(self._again)
        else:
            self._turn, self._expired = self._turn + 1, 0
            first = min(_trailing_zeros(self._turn), len(queues) - 1)
        self._again = None
        return [queues[first], *queues[:first], *queues[first + 1 :]][:n]

    def expired(self, queue: str) -> None:
        """What was taken last, from this queue, was of no use any more."""
        if self._expired < EXPIRED_AT_MOST:
            self._again, self._expired = queue, self._expired + 1

    def rotate(self, last_used: str) -> str:
        """Called with where a message came from: nothing to do, as turns are counted by looks."""
        return last_used


def _trailing_zeros(number: int) -> int:
    return (number & -number).bit_length() - 1
