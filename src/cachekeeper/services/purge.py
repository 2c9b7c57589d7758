"""Removing the bytes of what an invalidation reaches: hygiene, since stamps already refuse them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cachekeeper.core.graph.digraph import SnapshotGraph
from cachekeeper.core.graph.reach import Reach, reach
from cachekeeper.core.ports.tiers import Tier
from cachekeeper.core.receipt import SHOWN
from cachekeeper.core.request import Request
from cachekeeper.services.snapshot import GraphSnapshot
from cachekeeper.settings import Settings

CHUNK = 10_000  # keys whose names are in memory at a time
CYCLES_NAMED = 10
STOPPED = "stopped there; they are stale by their stamps and go when read or expired"


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

    @classmethod
    def of(cls, settings: Settings) -> Limits:
        """Those that are set."""
        return cls(
            depth=settings.depth_limit,
            budget=settings.purge_budget,
            goes_on=settings.purge_beyond == "continue",
            names_cycles=settings.circular_resolution == "maintain",
        )

    def unsearched(self, request: Request) -> Reach | None:
        """What a purge of a request removes or begins with, if nothing has to be searched."""
        if not request.cascade:
            return Reach(request.keys)
        if len(request.keys) > self.budget and self.goes_on:
            return Reach(request.keys, unfinished=True)  # all of it is for the background
        return None

    def near(self, graph: SnapshotGraph, request: Request) -> Reach:
        """The same for any request, within the limits."""
        known = self.unsearched(request)
        return known or reach(graph, request.keys, self.depth, self.budget)

    def met(self, reached: Reach) -> list[str]:
        """Every limit that was met, in words."""
        rest, said = "goes on in the background" if self.goes_on else STOPPED, list[str]()
        if reached.unfinished:
            said.append(f"size budget: more than {self.budget} keys; the purge {rest}")
        if reached.beyond:
            said.append(
                f"depth limit {self.depth}: {len(reached.beyond)} keys and what was derived from "
                f"them lie deeper; the purge {rest}"
            )
        if reached.cycles:
            shown = reached.cycles[:CYCLES_NAMED] if self.names_cycles else ()
            named = [" -> ".join(cycle[:SHOWN]) for cycle in shown]
            counted = f"{len(reached.cycles)} cycles, each removed as a whole"
            said.append(": ".join([counted, *(["; ".join(named)] if named else [])]))
        return said


class Purger:
    """Finds what was derived from keys and removes it; ``tiers`` from far to near."""

    def __init__(self, graph: GraphSnapshot, tiers: Sequence[Tier], limits: Limits) -> None:
        self._graph, self._tiers, self.limits = graph, tiers, limits

    def near(self, request: Request) -> Reach:
        """What hangs below the keys of a request within the limits, sources first."""
        known = self.limits.unsearched(request)
        if known is not None:
            return known
        with self._graph.current() as graph:
            return self.limits.near(graph, request)

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
