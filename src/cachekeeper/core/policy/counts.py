"""How often each key was asked for of late, up to 15: what a sketch of 4-bit counters estimates."""

from __future__ import annotations

from typing import Final

MOST: Final = 15
SAMPLE: Final = 10  # requests per entry held, after which all counts are halved
LEAST_SAMPLE: Final = 100


class Counts:
    """Exact counts by key. Halving costs O(n), after ten times as many requests."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._added = 0

    def of(self, key: str) -> int:
        """How often, up to 15."""
        return self._counts.get(key, 0)

    def add(self, key: str, held: int) -> None:
        """One request; ``held`` is the number of entries in the cache."""
        count = self._counts.get(key, 0)
        if count == MOST:
            return
        self._counts[key] = count + 1
        self._added += 1
        if self._added >= max(LEAST_SAMPLE, SAMPLE * held):
            self._counts = {key: count // 2 for key, count in self._counts.items() if count > 1}
            self._added //= 2
