"""A read-only ``networkx.DiGraph`` in arrays that processes share, and what changed since.

Every algorithm of networkx runs on it, since it is a DiGraph; what has to be fast (``reach``)
works on the arrays. Its nodes are the keys that have an edge.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import networkx as nx
import numpy as np
import numpy.typing as npt

from cachekeeper.core.graph.adjacency import Adjacency, Rows
from cachekeeper.core.graph.arrays import GraphArrays
from cachekeeper.core.graph.keytable import KeyArrays, KeyTable, hashed
from cachekeeper.core.graph.ports import EdgeChange


class SnapshotGraph(nx.DiGraph):
    """The shared graph in this process. Changes come from the log only: ``add_edge`` raises.

    Called without arguments it makes an empty, changeable ``DiGraph``, as networkx's own methods
    (``copy``, ``reverse``, views) do.
    """

    table: KeyTable
    out: Adjacency
    into: Adjacency
    #: How far a search has come: the place of each node among those found, else -1.
    place: npt.NDArray[np.int32]
    _gone: set[int]  # numbers of keys that have lost all their edges

    @classmethod
    def on(cls, arrays: GraphArrays) -> SnapshotGraph:
        """The graph that some arrays hold."""
        graph: SnapshotGraph = nx.freeze(cls())
        graph.table = KeyTable(arrays.keys)
        graph.out, graph.into = Adjacency(arrays.out), Adjacency(arrays.into)
        graph._gone = set()
        graph._node = _Nodes(graph)
        graph._succ = _Adjacent(graph, graph.out)
        graph._pred = _Adjacent(graph, graph.into)
        graph.place = np.full(len(arrays.out), -1, np.int32)
        return graph

    @property
    def changes(self) -> int:
        """How many nodes differ from the arrays."""
        return len(self.out.changed) + len(self.into.changed)

    def number_of_edges(self, u: str | None = None, v: str | None = None) -> int:
        """How many edges there are, in all or from u to v."""
        if hasattr(self, "table") and u is None:
            return self.out.edges
        return int(super().number_of_edges(u, v))

    def holds(self, number: int | None) -> bool:
        """Whether a number (-1 and None: there is none) is that of a key with an edge."""
        return number is not None and number >= 0 and number not in self._gone

    def held(self, numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """The same for each of many."""
        held: npt.NDArray[np.bool_] = numbers >= 0
        if self._gone:
            held &= ~np.isin(numbers, list(self._gone))
        return held

    def apply(self, changes: Iterable[EdgeChange]) -> None:
        """Apply what the log of changes says, in its order. Twice is as good as once."""
        forward: dict[int, dict[int, bool]] = {}
        backward: dict[int, dict[int, bool]] = {}
        listed = list(changes)
        keys = [key for change in listed for key in (change.v, *change.added, *change.removed)]
        numbers = iter(self.table.intern(keys).tolist())
        for change in listed:
            v = next(numbers)
            into = backward.setdefault(v, {})
            for there, names in ((True, change.added), (False, change.removed)):
                for _ in names:
                    u = next(numbers)
                    into[u] = forward.setdefault(u, {})[v] = there
        self.out.change(forward)
        self.into.change(backward)
        missing = len(self.table) - len(self.place)
        if missing:
            self.place = np.concatenate([self.place, np.full(missing, -1, np.int32)])
        for number in {*forward, *backward}:
            if len(self.out.row(number)) or len(self.into.row(number)):
                self._gone.discard(number)
            else:
                self._gone.add(number)

    def compacted(self) -> GraphArrays:
        """The graph with its changes, in new arrays; keys without edges are left out."""
        old = self.table.arrays
        nodes = len(self.table)
        kept = np.ones(nodes, bool)
        kept[list(self._gone)] = False
        renumbered = np.cumsum(kept, dtype=np.int32) - 1
        u, v = self.out.all()
        u, v = renumbered[u], renumbered[v]
        left = np.flatnonzero(kept)
        here = left[left < len(old.hashes)]
        later = [self.table.later[number - len(old.hashes)] for number in left[len(here) :]]
        new = KeyArrays.of(later, old.salt)
        text = np.frombuffer(b"".join(_texts(old, kept[: len(old.hashes)])), np.uint64)
        keys = KeyArrays.made(
            np.concatenate([text, new.text]),
            np.concatenate([np.diff(old.starts)[here], np.diff(new.starts)]),
            np.concatenate([old.unsorted_hashes()[here], hashed(later, old.salt)]),
            old.salt,
        )
        return GraphArrays(keys, Rows.of(len(left), u, v), Rows.of(len(left), v, u))


def _texts(keys: KeyArrays, kept: Any) -> Iterator[bytes]:
    """The text of the keys that are kept, in runs as long as possible."""
    edges = np.flatnonzero(np.diff(kept.astype(np.int8), prepend=0, append=0)).reshape(-1, 2)
    for first, last in keys.starts[edges].tolist():
        yield keys.text[first:last].tobytes()


class _Nodes(Mapping[str, dict[str, Any]]):
    """The nodes and their (never any) attributes, as networkx keeps them."""

    __slots__ = ("_graph",)

    def __init__(self, graph: SnapshotGraph) -> None:
        self._graph = graph

    def __len__(self) -> int:
        return len(self._graph.table) - len(self._graph._gone)

    def __iter__(self) -> Iterator[str]:
        numbers = np.arange(len(self._graph.table))
        kept = np.ones(len(numbers), bool)
        kept[list(self._graph._gone)] = False
        for start in range(0, len(numbers), 1 << 16):
            part = slice(start, start + (1 << 16))
            yield from self._graph.table.keys(numbers[part][kept[part]])

    def __contains__(self, key: object) -> bool:
        return self._graph.holds(self._graph.table.number(key))

    def __getitem__(self, key: str) -> dict[str, Any]:
        if key in self:
            return {}
        raise KeyError(key)


class _Adjacent(Mapping[str, "_Neighbours"]):
    """Node -> its neighbours in one direction, as networkx keeps them."""

    __slots__ = ("_adjacency", "_graph")

    def __init__(self, graph: SnapshotGraph, adjacency: Adjacency) -> None:
        self._graph, self._adjacency = graph, adjacency

    def __len__(self) -> int:
        return len(self._graph._node)

    def __iter__(self) -> Iterator[str]:
        return iter(self._graph._node)

    def __contains__(self, key: object) -> bool:
        return key in self._graph._node

    def __getitem__(self, key: str) -> _Neighbours:
        number = self._graph.table.number(key)
        if number is None or not self._graph.holds(number):
            raise KeyError(key)
        return _Neighbours(self._graph.table, self._adjacency.row(number))


class _Neighbours(Mapping[str, dict[str, Any]]):
    """Neighbour -> the (never any) attributes of the edge, as networkx keeps them."""

    __slots__ = ("_row", "_table")

    def __init__(self, table: KeyTable, row: Any) -> None:
        self._table, self._row = table, row

    def __len__(self) -> int:
        return len(self._row)

    def __iter__(self) -> Iterator[str]:
        return iter(self._table.keys(self._row))

    def __contains__(self, key: object) -> bool:
        number = self._table.number(key)
        return number is not None and bool((self._row == number).any())

    def __getitem__(self, key: str) -> dict[str, Any]:
        if key in self:
            return {}
        raise KeyError(key)
