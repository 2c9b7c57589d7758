"""What an invalidation reaches, and in which order (SPEC 4).

An edge ``u -> v`` says that v was derived from u.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import chain
from typing import TypeAlias

import networkx as nx

Graph: TypeAlias = "nx.DiGraph[str]"


@dataclass(frozen=True, slots=True)
class Affected:
    """The closure of some seeds, sources first, and what limits were met."""

    order: list[str]
    depth: int
    beyond: list[str] = field(default_factory=list)  # the first keys past the depth limit
    cycles: list[list[str]] = field(default_factory=list)
    unfinished: bool = False  # the size budget was met: there is more


def affected(
    graph: Graph, seeds: Iterable[str], depth_limit: int, budget: int | None = None
) -> Affected:
    """Everything derived from ``seeds`` within ``depth_limit`` edges, sources first.

    A cycle is kept together and never leaves a node out; seeds that the graph does not know
    stand first. What lies deeper is named in ``beyond``, not silently left out. With a budget the
    search stops as soon as that many keys are found.
    """
    seeds = list(dict.fromkeys(seeds))
    unknown = [key for key in seeds if key not in graph]
    frontier = [key for key in seeds if key in graph]
    found, depth = set(frontier), 0
    while frontier and depth < depth_limit:
        near, frontier = chain.from_iterable(map(graph.successors, frontier)), []
        for key in near:
            if key not in found:
                found.add(key)
                frontier.append(key)
                if len(found) == budget:
                    return Affected([*unknown, *found], depth + 1, unfinished=True)
        depth += bool(frontier)
    next_ones = chain.from_iterable(graph.successors(key) for key in frontier)
    beyond = sorted({key for key in next_ones if key not in found})
    groups = _in_order(graph.subgraph(found))
    cycles = [group for group in groups if len(group) > 1]
    return Affected([*unknown, *chain.from_iterable(groups)], depth, beyond, cycles)


def _in_order(graph: Graph) -> list[list[str]]:
    """The strongly connected components, sources first."""
    condensed = nx.condensation(graph)
    members = condensed.nodes(data="members")
    return [sorted(members[node]) for node in nx.lexicographical_topological_sort(condensed)]
