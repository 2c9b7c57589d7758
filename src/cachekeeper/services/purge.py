"""Removing the bytes of what an invalidation reaches: hygiene, since stamps already refuse them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cachekeeper.core.graph.reach import Reach, reach
from cachekeeper.core.ports import Tier
from cachekeeper.services.snapshot import GraphSnapshot

CHUNK = 500


@dataclass(frozen=True, slots=True)
class Limits:
    """How far a purge goes at once: edges from the seeds, and keys.

    Past them it goes on in the background, unless told otherwise. Cycles are removed as a whole and
    counted in the receipt; with ``maintain`` (SPEC 4) it names them, too.
    """

    depth: int
    budget: int
    goes_on: bool = True
    names_cycles: bool = False


class Purger:
    """Finds what was derived from keys and removes it; ``tiers`` from far to near."""

    def __init__(self, graph: GraphSnapshot, tiers: Sequence[Tier], limits: Limits) -> None:
        self._graph, self._tiers, self.limits = graph, tiers, limits

    def near(self, keys: Iterable[str]) -> Reach:
        """What hangs below the keys within the limits, sources first."""
        with self._graph.current() as graph:
            return reach(graph, keys, self.limits.depth, self.limits.budget)

    def all(self, keys: Iterable[str]) -> Reach:
        """All that hangs below the keys, sources first."""
        with self._graph.current() as graph:
            return reach(graph, keys)

    def remove(self, order: Sequence[str]) -> dict[str, int]:
        """Remove entries in the given order; returns how many there were, by tier."""
        removed = {tier.name: 0 for tier in self._tiers}
        for start in range(0, len(order), CHUNK):
            chunk = order[start : start + CHUNK]
            for tier in self._tiers:
                removed[tier.name] += tier.remove(chunk)
        return removed
