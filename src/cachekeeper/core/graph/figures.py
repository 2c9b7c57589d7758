"""Figures of a graph, for people."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from cachekeeper.core.graph.adjacency import Rows
from cachekeeper.core.graph.components import components
from cachekeeper.core.graph.digraph import SnapshotGraph
from cachekeeper.core.graph.keytable import ranges

#: A chain longer than this is not measured to its end.
LONGEST_CHAIN = 10_000


class Figures(NamedTuple):
    """``depth`` is the longest chain in edges, a cycle counted as one key."""

    nodes: int
    edges: int
    largest_fan_out: int
    largest_fan_in: int
    cycles: int
    depth: int


def figures(graph: SnapshotGraph) -> Figures:
    """Count and measure: O(edges), and a round for each edge of the longest chain."""
    nodes = len(graph.table)
    u, v = graph.out.all()
    label = components(nodes, u, v)
    sizes = np.bincount(label)
    return Figures(
        nodes=graph.number_of_nodes(),
        edges=graph.number_of_edges(),
        largest_fan_out=int(graph.out.degrees(nodes).max(initial=0)),
        largest_fan_in=int(graph.into.degrees(nodes).max(initial=0)),
        cycles=int((sizes > 1).sum()),
        depth=_longest_chain(len(sizes), label[u], label[v]),
    )


def leaves(graph: SnapshotGraph) -> list[str]:
    """The keys that nothing was derived from."""
    nodes = len(graph.table)
    inner, outer = graph.into.degrees(nodes), graph.out.degrees(nodes)
    return graph.table.keys(np.flatnonzero((inner > 0) & (outer == 0)))


def _longest_chain(groups: int, u: npt.NDArray[np.int32], v: npt.NDArray[np.int32]) -> int:
    """Take away what nothing leads to, again and again: so many rounds, so many edges."""
    between = u != v
    rows = Rows.of(groups, u[between], v[between])
    lengths = np.diff(rows.starts)
    left = np.bincount(v[between], minlength=groups)
    front = np.flatnonzero((left == 0) & (lengths > 0))
    depth = 0
    while len(front) and depth < LONGEST_CHAIN:
        depth += 1
        near, times = np.unique(
            rows.ends[ranges(rows.starts[front], lengths[front])], return_counts=True
        )
        left[near] -= times
        front = near[left[near] == 0]
        if not lengths[front].any():
            break
    return depth
