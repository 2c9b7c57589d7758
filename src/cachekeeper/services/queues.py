"""How much waits in each queue and in each pending set, and how old the oldest of it is.

A length alone tells of no starvation: two messages that nobody takes are few, and grow old.
"""

from __future__ import annotations

from dataclasses import dataclass

from cachekeeper.core.ports.pipeline import PendingSets, Queues
from cachekeeper.core.ports.tiers import Clock
from cachekeeper.core.strategy import Strategy


@dataclass(frozen=True, slots=True)
class Row:
    """One place where work waits; ``oldest_s`` is None where nothing does, or says since when."""

    name: str  # a queue's, or ``pending:`` and a strategy
    waiting: int
    oldest_s: float | None


class QueueWatch:
    """Looks at queues and pending sets, and changes nothing.

    Without ``queues``, as the broker is one that we can't look into, there are the sets only.
    """

    def __init__(self, queues: Queues | None, pending: PendingSets, now: Clock) -> None:
        self._queues, self._pending, self._now = queues, pending, now

    def rows(self) -> list[Row]:
        """Every place: the queues, most urgent first, then the pending sets.

        Raises:
            BrokerUnavailable, CacheUnavailable: it can't be looked at.
        """
        places = self._queues.waiting() if self._queues else {}
        places |= {f"pending:{s}": self._pending.oldest(s) for s in Strategy}
        now = self._now()
        return [Row(name, found.count, found.age_s(now)) for name, found in places.items()]

    def figures(self) -> dict[str, float]:
        """The same for records: by "place waiting", and "place oldest_s" where that is known."""
        rows = self.rows()
        figures = {f"{row.name} waiting": float(row.waiting) for row in rows}
        ages = {f"{row.name} oldest_s": row.oldest_s for row in rows if row.oldest_s is not None}
        return figures | ages
