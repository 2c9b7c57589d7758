"""The dependency graph in a worker process: a ``networkx.DiGraph`` kept current."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import networkx as nx

from cachekeeper.core.graph import Graph
from cachekeeper.core.ports import GraphStore


class GraphSnapshot:
    """A copy of the shared graph in this process."""

    def __init__(self, store: GraphStore) -> None:
        self._store = store
        self._graph: Graph = nx.DiGraph()
        self._position: str | None = None
        self._lock = threading.Lock()

    @contextmanager
    def current(self) -> Iterator[Graph]:
        """The graph with every change applied that was logged before; it stays still within."""
        with self._lock:
            changes = None if self._position is None else self._store.changes(self._position)
            if changes is None:  # the first use, or the log no longer reaches back
                self._reload()
            else:
                self._position, applied = changes
                for change in applied:
                    if change.op == "+":
                        self._graph.add_edge(change.u, change.v)
                    elif self._graph.has_edge(change.u, change.v):
                        self._graph.remove_edge(change.u, change.v)
            yield self._graph

    def forget(self, keys: list[str]) -> None:
        """Drop keys that were pruned from the store; for use within ``current``."""
        self._graph.remove_nodes_from(keys)

    def _reload(self) -> None:
        self._position = self._store.position()  # before the edges: what comes twice is harmless
        self._graph = nx.DiGraph()
        self._graph.add_nodes_from(self._store.nodes())
        self._graph.add_edges_from(self._store.edges())
