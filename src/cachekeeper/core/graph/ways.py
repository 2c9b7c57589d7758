"""How one key leads to another: the shortest ways along the dependency graph."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

import networkx as nx

from cachekeeper.core.graph.neighbourhood import Graph, known
from cachekeeper.errors import InvalidInput

#: Keys that a search looks at from either end before it gives up; a second's work or two.
SEARCHED: Final = 200_000


@dataclass(frozen=True, slots=True)
class Ways:
    """The shortest ways from one key to another."""

    shown: list[list[str]] = field(default_factory=list)  # keys, from the first to the last
    number: int = 0  # of all that are as short, shown or not
    gave_up: bool = False  # none found near either end, there may be one


def shortest_ways(
    graph: Graph, start: str, end: str, *, most: int = 10, searched: int = SEARCHED
) -> Ways:
    """How ``end`` was derived from ``start``; at most ``most`` ways are shown.

    The search goes on from both ends in turn, where it costs less.

    Raises:
        InvalidInput: the graph does not know one of the keys, or they are the same.
    """
    known(graph, start, "a")
    if known(graph, end, "b") == start:
        raise InvalidInput("b", end, "another key than a")
    ahead = _Side(graph.successors, graph.out_degree, start)
    back = _Side(graph.predecessors, graph.in_degree, end)
    while ahead.fringe and back.fringe:
        side, other = (ahead, back) if ahead.cost() <= back.cost() else (back, ahead)
        if not side.advance(searched):
            return Ways(gave_up=True)
        met = [key for key in side.fringe if key in other.nearer]
        if met:
            return _joined(ahead, back, met, start, end, most)
    return Ways()


class _Side:
    """A search, level by level, from one end."""

    def __init__(
        self,
        near: Callable[[str], Iterable[str]],
        degree: Callable[[str], int],
        key: str,
    ) -> None:
        self._near, self._degree = near, degree
        self.nearer: dict[str, list[str]] = {key: []}  # the keys one step nearer to this end
        self.fringe = [key]

    def cost(self) -> int:
        """Edges to look at for the next level."""
        return sum(self._degree(key) for key in self.fringe)

    def advance(self, most: int) -> bool:
        """One level on; False if that makes too many keys."""
        fresh: dict[str, list[str]] = {}
        for key in self.fringe:
            for found in self._near(key):
                if found not in self.nearer:
                    fresh.setdefault(found, []).append(key)
                    if len(self.nearer) + len(fresh) > most:
                        return False
        self.nearer |= fresh
        self.fringe = list(fresh)
        return True


def _joined(ahead: _Side, back: _Side, met: list[str], start: str, end: str, most: int) -> Ways:
    """Both halves as one small graph in which every way is a shortest one."""
    whole: Graph = nx.DiGraph()
    for side in (ahead, back):
        todo, done = list(met), set(met)
        while todo:
            key = todo.pop()
            for near in side.nearer[key]:
                whole.add_edge(*((near, key) if side is ahead else (key, near)))
                if near not in done:
                    done.add(near)
                    todo.append(near)
    number = {start: 1}
    for key in nx.topological_sort(whole):
        number.setdefault(key, sum(number[near] for near in whole.predecessors(key)))
    shown = sorted(islice(nx.all_shortest_paths(whole, start, end), most))
    return Ways(shown, number[end])
