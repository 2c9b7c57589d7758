"""The graph refresh: merge changes, drop dead keys, find cycles, publish figures."""

from __future__ import annotations

from cachekeeper.core.graph.digraph import SnapshotGraph
from cachekeeper.core.graph.figures import figures, leaves
from cachekeeper.core.graph.ports import GraphStore
from cachekeeper.core.ports.tiers import Clock
from cachekeeper.services.snapshot import GraphSnapshot


class GraphRefresh:
    """Keeps the shared graph small and its figures current. Safe to run twice at once."""

    def __init__(self, store: GraphStore, snapshot: GraphSnapshot, now: Clock) -> None:
        self._store, self._snapshot, self._now = store, snapshot, now

    def run(self) -> dict[str, int | float]:
        """One refresh; returns the figures it published.

        ``pruned`` keys were dropped; ``folded`` values have more sources than one value may name
        and a group in place of them; ``lag`` rows had changed since this host's file was built;
        ``snapshot_built`` and ``refreshed`` are in seconds since 1970.
        """
        with self._snapshot.current() as graph:
            lag = graph.changes
            pruned = self._prune(graph)
        built = self._snapshot.write()
        with self._snapshot.current() as graph:
            statistics: dict[str, int | float] = figures(graph)._asdict()
        statistics |= {"pruned": pruned, "folded": self._store.folded(), "lag": lag}
        statistics |= {"snapshot_built": built, "refreshed": self._now()}
        self._store.publish(statistics)
        return statistics

    def _prune(self, graph: SnapshotGraph) -> int:
        """Drop dead keys, from the leaves upward: a dead chain goes in one refresh."""
        pruned = 0
        candidates = leaves(graph)
        while candidates:
            gone = self._store.prune(candidates)
            pruned += len(gone)
            # The store knows which of those above have other dependents; it is asked, not guessed.
            candidates = list({above for key in gone for above in graph.predecessors(key)})
        return pruned
