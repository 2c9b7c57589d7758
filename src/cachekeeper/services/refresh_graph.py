"""The graph refresh: merge changes, drop dead nodes, find cycles, publish figures."""

from __future__ import annotations

import networkx as nx

from cachekeeper.core.graph import Graph
from cachekeeper.core.ports import Clock, GraphStore
from cachekeeper.services.snapshot import GraphSnapshot


class GraphRefresh:
    """Keeps the shared graph small and its figures current. Safe to run twice at once."""

    def __init__(self, store: GraphStore, snapshot: GraphSnapshot, now: Clock) -> None:
        self._store, self._snapshot, self._now = store, snapshot, now

    def run(self) -> dict[str, int | float]:
        """One refresh; returns the figures it published."""
        with self._snapshot.current() as graph:
            pruned = self._prune(graph)
            statistics = _figures(graph) | {"pruned": pruned, "refreshed": self._now()}
        self._store.publish(statistics)
        return statistics

    def _prune(self, graph: Graph) -> int:
        """Drop dead keys, from the leaves upward: a dead chain goes in one refresh."""
        pruned = 0
        leaves = [key for key in graph if graph.out_degree(key) == 0]
        while leaves:
            gone = [key for key in leaves if self._store.prune(key)]
            parents = {parent for key in gone for parent in graph.predecessors(key)}
            self._snapshot.forget(gone)
            pruned += len(gone)
            leaves = [key for key in parents if graph.out_degree(key) == 0]
        return pruned


def _figures(graph: Graph) -> dict[str, int | float]:
    cycles = [c for c in nx.strongly_connected_components(graph) if len(c) > 1]
    return {
        "nodes": graph.number_of_nodes(),
        "edges": graph.number_of_edges(),
        "largest_fan_out": max((degree for _, degree in graph.out_degree()), default=0),
        "cycles": len(cycles),
    }
