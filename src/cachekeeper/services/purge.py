"""Removing the bytes of what an invalidation reaches: hygiene, since stamps already refuse them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cachekeeper.core.graph import Affected, affected
from cachekeeper.core.ports import Tier
from cachekeeper.services.snapshot import GraphSnapshot

CHUNK = 500


class Purger:
    """Finds what was derived from keys and removes it; ``tiers`` from far to near."""

    def __init__(self, graph: GraphSnapshot, tiers: Sequence[Tier], depth_limit: int) -> None:
        self._graph, self._tiers, self._depth_limit = graph, tiers, depth_limit

    def reach(self, keys: Iterable[str], budget: int | None = None) -> Affected:
        """What hangs below the keys, sources first; not more than the budget."""
        with self._graph.current() as graph:
            return affected(graph, keys, self._depth_limit, budget)

    def remove(self, order: Sequence[str]) -> dict[str, int]:
        """Remove entries in the given order; returns how many there were, by tier."""
        removed = {tier.name: 0 for tier in self._tiers}
        for start in range(0, len(order), CHUNK):
            chunk = order[start : start + CHUNK]
            for tier in self._tiers:
                removed[tier.name] += tier.remove(chunk)
        return removed
