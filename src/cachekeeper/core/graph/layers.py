"""Where the boxes of a picture stand: columns from sources to what was derived from them.

The steps are those of Sugiyama, Tagawa and Toda (1981): a column for each topological generation
of the condensation; a narrow lane for an edge through every column that it passes; an order in
each column with few crossings (barycentres); then heights that keep the order and make edges
straight (isotonic regression). The keys of a cycle stand below each other as one block.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean
from typing import Final, TypeAlias

import networkx as nx

from cachekeeper.core.graph.neighbourhood import Graph

#: A strongly connected component, or the lane of the edges of one through a column.
Unit: TypeAlias = "int | tuple[int, int]"
Units: TypeAlias = "nx.DiGraph[Unit]"

SWEEPS: Final = 24


@dataclass(frozen=True, slots=True)
class Sizes:
    """Heights and distances, all in one unit of length."""

    box: float
    gap: float  # between boxes of a column
    lane: float
    head: float  # above and below the boxes of a cycle


@dataclass(frozen=True, slots=True)
class Layers:
    """A graph in columns.

    Attributes:
        column: of each key, from the left.
        y: the middle of each key's box.
        height: of all.
        cycles: the keys of each cycle of more than one, in their order from above.
        lanes: for an edge across columns in between, the y in each of these.
    """

    column: dict[str, int]
    y: dict[str, float]
    height: float
    cycles: list[list[str]]
    lanes: dict[tuple[str, str], list[float]]


def layers(graph: Graph, sizes: Sizes) -> Layers:
    """Place the keys of a graph; y is 0 at the top of the highest."""
    condensed = nx.condensation(graph)
    members = {unit: _in_turn(graph, keys) for unit, keys in condensed.nodes(data="members")}
    column = _columns(condensed)
    units = _with_lanes(condensed, column)
    columns = _ordered(units)

    def height(unit: Unit) -> float:
        if isinstance(unit, tuple):
            return sizes.lane
        number = len(members[unit])
        return number * (sizes.box + sizes.gap) - sizes.gap + 2 * sizes.head * (number > 1)

    middle = _heights(units, columns, lambda a, b: (height(a) + height(b)) / 2 + sizes.gap)
    top = min(y - height(unit) / 2 for unit, y in middle.items())
    bottom = max(y + height(unit) / 2 for unit, y in middle.items())
    y = {
        key: middle[unit] - top + (i - (len(keys) - 1) / 2) * (sizes.box + sizes.gap)
        for unit, keys in members.items()
        for i, key in enumerate(keys)
    }
    part = condensed.graph["mapping"]
    lanes = {
        (u, v): [middle[part[u], at] - top for at in range(column[part[u]] + 1, column[part[v]])]
        for u, v in graph.edges()
    }
    return Layers(
        column={key: column[unit] for key, unit in part.items()},
        y=y,
        height=bottom - top,
        cycles=[keys for keys in members.values() if len(keys) > 1],
        lanes=lanes,
    )


def _in_turn(graph: Graph, keys: set[str]) -> list[str]:
    """The keys of a component, most of them after one that they were derived from."""
    return list(nx.dfs_preorder_nodes(graph.subgraph(keys), min(keys)))


def _columns(condensed: Units) -> dict[int, int]:
    """Generations, but what has no source of its own stands next to what was derived from it."""
    generations = enumerate(nx.topological_generations(condensed))
    column = {unit: at for at, generation in generations for unit in generation}
    for unit in condensed:
        if condensed.in_degree(unit) == 0 and condensed.out_degree(unit):
            column[unit] = min(column[after] for after in condensed.successors(unit)) - 1
    return column


def _with_lanes(condensed: Units, column: dict[int, int]) -> Units:
    """Edges from a column to the next only; those of one source share a lane where they pass."""
    units: Units = nx.DiGraph()
    units.add_nodes_from((unit, {"column": column[unit]}) for unit in condensed)
    for u, v in condensed.edges():
        before: Unit = u
        for at in range(column[u] + 1, column[v]):
            units.add_node((u, at), column=at)
            units.add_edge(before, (u, at))
            before = (u, at)
        units.add_edge(before, v)
    return units


def _ordered(units: Units) -> list[list[Unit]]:
    """The units of each column from above, with few crossings."""
    columns: list[list[Unit]] = [[] for _ in range(1 + max(dict(units.nodes("column")).values()))]
    for unit in nx.dfs_preorder_nodes(units.to_undirected(as_view=True)):
        columns[units.nodes[unit]["column"]].append(unit)
    best, least = columns, _crossings(units, columns)
    for sweep in range(SWEEPS):
        columns = [list(column) for column in columns]
        ways = (columns[1:], units.predecessors), (columns[-2::-1], units.successors)
        moved, beside = ways[sweep % 2]
        for column in moved:
            rank = _ranks(columns)
            column.sort(key=lambda unit: _mean(map(rank.__getitem__, beside(unit)), rank[unit]))
        if (crossed := _crossings(units, columns)) < least:
            best, least = columns, crossed
    return best


def _crossings(units: Units, columns: list[list[Unit]]) -> int:
    rank, crossed = _ranks(columns), 0
    for column in columns:
        ends: list[float] = []  # of the edges so far, which start above
        for unit in column:
            for end in sorted(rank[after] for after in units.successors(unit)):
                crossed += len(ends) - bisect_right(ends, end)
                insort(ends, end)
    return crossed


def _ranks(columns: list[list[Unit]]) -> dict[Unit, float]:
    """Where each unit stands in its column, from 0 to 1."""
    return {
        unit: (place + 0.5) / len(column) for column in columns for place, unit in enumerate(column)
    }


def _heights(
    units: Units, columns: list[list[Unit]], apart: Callable[[Unit, Unit], float]
) -> dict[Unit, float]:
    """The middle of each unit: near those that it is joined to, in order, and far enough apart."""
    middle: dict[Unit, float] = {}
    offsets = []
    for column in columns:
        places = [0.0]
        for above, below in pairwise(column):
            places.append(places[-1] + apart(above, below))
        offsets.append(places)
        middle |= {u: y - places[-1] / 2 for u, y in zip(column, places, strict=True)}
    for sweep in range(SWEEPS):
        turn = list(zip(columns, offsets, strict=True))
        for column, places in turn if sweep % 2 else reversed(turn):
            wanted = [
                _mean((middle[near] for near in nx.all_neighbors(units, unit)), middle[unit])
                for unit in column
            ]
            free = _rising([w - place for w, place in zip(wanted, places, strict=True)])
            middle |= {u: f + p for u, f, p in zip(column, free, places, strict=True)}
    return middle


def _rising(values: list[float]) -> list[float]:
    """The nearest values (least squares) of which none is below the one before it."""
    runs: list[tuple[float, int]] = []
    for value in values:
        mean, size = value, 1
        while runs and runs[-1][0] > mean:
            before, number = runs.pop()
            mean = (mean * size + before * number) / (size + number)
            size += number
        runs.append((mean, size))
    return [mean for mean, size in runs for _ in range(size)]


def _mean(values: Iterable[float], default: float) -> float:
    found = list(values)
    return fmean(found) if found else default
