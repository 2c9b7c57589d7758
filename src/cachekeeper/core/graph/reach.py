"""What an invalidation reaches, and in which order (SPEC 4).

An edge ``u -> v`` says that v was derived from u.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cachekeeper.core.graph.components import components
from cachekeeper.core.graph.digraph import SnapshotGraph
from cachekeeper.core.graph.keytable import Keys


@dataclass(frozen=True, slots=True)
class Reach:
    """What was found from some seeds. Keys are decoded when they are asked for.

    ``order`` holds the seeds that the graph does not know, then the others and what was derived
    from them, sources first. A cycle stands together, from what is nearest to the seeds on.
    ``beyond`` are the keys that come next, past the limit of depth; ``unfinished`` says that the
    budget was met, so that there may be more.
    """

    order: Sequence[str]
    depth: int = 0
    beyond: Sequence[str] = ()
    cycles: Sequence[Sequence[str]] = ()
    unfinished: bool = False


def reach(
    graph: SnapshotGraph,
    seeds: Iterable[str],
    depth_limit: int | None = None,
    budget: int | None = None,
) -> Reach:
    """Everything derived from ``seeds`` within ``depth_limit`` edges, sources first.

    With a budget the search stops as soon as that many keys are found. Nothing is left out
    silently: what is not searched is said.
    """
    unique = list(dict.fromkeys(seeds))
    table, numbers = graph.table, graph.table.numbers(unique)
    known = graph.held(numbers)
    unknown = [unique[place] for place in np.flatnonzero(~known).tolist()]
    search = _Search(graph)
    try:
        depth = search.run(numbers[known], depth_limit, budget)
        order, cycles = search.in_order()
        return Reach(
            Keys(table, order, unknown),
            depth,
            Keys(table, search.next_ones()),
            [Keys(table, order[start:end]) for start, end in cycles],
            search.unfinished,
        )
    finally:
        search.forget()


NONE: npt.NDArray[np.int64] = np.empty(0, np.int64)


class _Search:
    """A search in breadth. ``graph.place`` tells what was found, and where it stands."""

    def __init__(self, graph: SnapshotGraph) -> None:
        self._out, self._place = graph.out, graph.place
        self._found: list[npt.NDArray[np.int64]] = []
        self._size = 0
        self.unfinished = False

    def run(self, seeds: npt.NDArray[np.int64], depth_limit: int | None, budget: int | None) -> int:
        """Search; returns how many edges the farthest one found is away."""
        frontier, depth = self._add(seeds, None), 0
        while len(frontier) and (depth_limit is None or depth < depth_limit):
            _, near = self._out.from_all(frontier)
            frontier = self._add(near[self._place[near] < 0], budget)
            depth += bool(len(frontier))
            if self.unfinished:
                break
        return depth

    def next_ones(self) -> npt.NDArray[np.int64]:
        """What the last ones found lead to and was not found: where a limit of depth stopped."""
        if self.unfinished:
            return NONE
        _, near = self._out.from_all(self._found[-1])
        next_ones = self._once(near[self._place[near] < 0])
        self._place[next_ones] = -1
        return next_ones

    def in_order(self) -> tuple[npt.NDArray[np.int64], list[tuple[int, int]]]:
        """What was found, sources first, and where in it each cycle begins and ends."""
        found = np.concatenate(self._found)
        u, near = self._out.from_all(found)
        v = self._place[near]
        inside = v >= 0
        u, v = u[inside], v[inside]
        if not len(u):
            return found, []
        label = components(len(found), u, v)
        sizes = np.bincount(label)
        if len(sizes) == len(found):  # no cycle: each has a label of its own
            order = np.empty_like(found)
            order[len(found) - 1 - label] = found
            return order, []
        order = np.argsort(-label, kind="stable")  # within a cycle: as it was found
        cycles = np.flatnonzero(sizes > 1)
        # Labels go down along the order: a group begins after all those with higher labels.
        starts = np.cumsum(sizes[::-1])[::-1] - sizes
        return found[order], [(int(starts[c]), int(starts[c] + sizes[c])) for c in cycles[::-1]]

    def forget(self) -> None:
        """Leave no trace in the graph."""
        for part in self._found:
            self._place[part] = -1

    def _add(self, nodes: npt.NDArray[Any], budget: int | None) -> npt.NDArray[np.int64]:
        """Note nodes as found, each once and not more than the budget; returns those."""
        once = self._once(nodes)
        if budget is not None and self._size + len(once) >= budget:
            self.unfinished = True
            kept = max(0, budget - self._size)
            self._place[once[kept:]] = -1
            once = once[:kept]
        self._place[once] = np.arange(self._size, self._size + len(once), dtype=np.int32)
        self._found.append(once)
        self._size += len(once)
        return once

    def _once(self, nodes: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
        """Nodes without repetitions: each writes its place, and the last one to do so stays."""
        places = np.arange(len(nodes), dtype=np.int32)
        self._place[nodes] = places
        once: npt.NDArray[np.int64] = nodes[self._place[nodes] == places].astype(np.int64)
        return once
