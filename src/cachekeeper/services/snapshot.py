"""The dependency graph in a worker process: a ``networkx.DiGraph`` that is current when used."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from cachekeeper.core.graph.arrays import GraphArrays
from cachekeeper.core.graph.digraph import SnapshotGraph
from cachekeeper.core.graph.ports import GraphFile, GraphFiles, GraphStore
from cachekeeper.core.ports.tiers import Clock

#: With so many changed rows of its own a process writes a new file for all of the host.
COMPACT_AFTER = 20_000


class GraphSnapshot:
    """The shared graph on this host: a file that its processes map, and the changes since then."""

    def __init__(self, store: GraphStore, files: GraphFiles, now: Clock) -> None:
        self._store, self._files, self._now = store, files, now
        self._file: GraphFile | None = None
        self._graph: SnapshotGraph | None = None
        self._position = ""
        self._lock = threading.Lock()

    @contextmanager
    def current(self) -> Iterator[SnapshotGraph]:
        """The graph with every change applied that was logged before; it stays still within."""
        with self._lock:
            graph = self._up_to_date()
            if graph.changes > COMPACT_AFTER:
                graph = self._compact(graph)
            yield graph

    def write(self) -> float:
        """Write a new file for the host, if anything changed; returns when it was written."""
        with self._lock:
            graph = self._up_to_date()
            if graph.changes:
                self._compact(graph)
            assert self._file is not None
            return self._file.built

    def _up_to_date(self) -> SnapshotGraph:
        newer = self._files.newer(self._file)
        if newer is not None:
            self._take(newer)
        if self._graph is not None and self._catch_up(self._graph):
            return self._graph
        return self._load()

    def _catch_up(self, graph: SnapshotGraph) -> bool:
        """Apply what the log says; False when it does not reach back to where the graph is."""
        more = True
        while more:
            found = self._store.changes(self._position)
            if found is None:
                return False
            self._position, changes, more = found
            graph.apply(changes)
        return True

    def _load(self) -> SnapshotGraph:
        with self._files.building():
            newer = self._files.newer(self._file)  # somebody else may have built meanwhile
            if newer is not None and self._catch_up(taken := self._take(newer)):
                return taken
            position = self._store.position()  # before the edges: what comes twice is harmless
            arrays = GraphArrays.of(self._store.edges())
            loaded = self._take(self._files.write(arrays, position, self._now()))
        # More changes than the log holds may have come meanwhile.
        return loaded if self._catch_up(loaded) else self._load()

    def _compact(self, graph: SnapshotGraph) -> SnapshotGraph:
        with self._files.building():
            position = self._position
            newer = self._files.newer(self._file)  # somebody else may have done it meanwhile
            if newer is not None and self._catch_up(taken := self._take(newer)):
                return taken
            return self._take(self._files.write(graph.compacted(), position, self._now()))

    def _take(self, file: GraphFile) -> SnapshotGraph:
        self._file, self._position = file, file.position
        self._graph = SnapshotGraph.on(file.arrays)
        return self._graph
