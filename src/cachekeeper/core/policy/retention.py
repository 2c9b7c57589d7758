"""The specified retention score (SPEC 6), by its rank: see ``core.retention``."""

from __future__ import annotations

from cachekeeper.core.policy.port import Admitting
from cachekeeper.core.policy.ranked import Ranked
from cachekeeper.core.retention import (
    FULL_USAGE,
    HORIZON_S,
    WEIGHT_AGE,
    WEIGHT_PRIORITY,
    WEIGHT_USAGE,
)


class Retention(Admitting):
    """0.4 age + 0.4 priority + 0.2 usage; the lowest goes first.

    State of an entry: its size, accesses and weight; its rank is the score of a sorted set.
    """

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        self._ranks: Ranked[float] = Ranked()
        self._entries: dict[str, tuple[int, float]] = {}  # accesses, weight

    def _take(self, key: str, size: int, now: float, weight: float) -> None:
        self._note(key, now, 1, weight)

    def _read(self, key: str, size: int, now: float) -> None:
        accesses, weight = self._entries[key]
        self._note(key, now, accesses + 1, weight)

    def _note(self, key: str, now: float, accesses: int, weight: float) -> None:
        self._entries[key] = (accesses, weight)
        usage = min(1.0, accesses / FULL_USAGE)
        settled = WEIGHT_PRIORITY * weight + WEIGHT_USAGE * usage
        self._ranks.put(key, WEIGHT_AGE * now / HORIZON_S + settled)

    def _drop(self, key: str) -> None:
        del self._entries[key]
        self._ranks.remove(key)

    def _next_victim(self) -> str:
        victim = self._ranks.pop()[1]
        del self._entries[victim]
        return victim
