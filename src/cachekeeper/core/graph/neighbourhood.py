"""The part of the dependency graph around one key, small enough to be shown.

Work is bounded by what is found, not by what there is: a key with a million dependents costs no
more than the limit. What was left out is counted for each key.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, TypeAlias

import networkx as nx

from cachekeeper.errors import InvalidInput

MAX_DEPTH: Final = 100
MAX_KEYS: Final = 100_000

#: Any DiGraph of keys, that of a snapshot too.
Graph: TypeAlias = "nx.DiGraph[str]"

_UP, _DOWN = -1, 1


@dataclass(frozen=True, slots=True)
class Neighbourhood:
    """A key, what is near it, and all edges between these.

    Attributes:
        key: the one in the middle.
        graph: each node has ``steps`` (edges from the key, negative for what it was derived
            from), ``more_sources`` and ``more_dependents`` (direct ones that are not in here);
            the whole has ``key`` and ``limits``, so that exports say it too.
        limits: which limits were met, as sentences.
    """

    key: str
    graph: Graph
    limits: list[str]


def known(graph: Graph, key: str, field: str = "key") -> str:
    """The key, if it is in the graph. Raises InvalidInput."""
    if key not in graph:
        allowed = "a key of the dependency graph: one derived from another, or another from it"
        raise InvalidInput(field, key, allowed)
    return key


def around(
    graph: Graph, key: str, *, depth: int, limit: int, sources: bool = True
) -> Neighbourhood:
    """What was derived from ``key`` within ``depth`` edges and, with ``sources``, it from what.

    The nearest come first, and each key of a distance gets its turn, so that neither a hub nor one
    direction takes all of ``limit`` keys.

    Raises:
        InvalidInput: the graph does not know the key, or the depth or the limit is out of bounds.
    """
    if not 1 <= depth <= MAX_DEPTH:
        raise InvalidInput("depth", depth, f"1 to {MAX_DEPTH} edges")
    if not 1 <= limit <= MAX_KEYS:
        raise InvalidInput("limit", limit, f"1 to {MAX_KEYS:,} keys")
    near = {_DOWN: graph.successors} | ({_UP: graph.predecessors} if sources else {})
    steps, last, full = _nearest(near, known(graph, key), depth, limit)
    found = between(graph, list(steps))
    for node, at in steps.items():
        found.nodes[node].update(
            steps=at,
            more_sources=graph.in_degree(node) - found.in_degree(node),
            more_dependents=graph.out_degree(node) - found.out_degree(node),
        )
    cut = {_UP: "more_sources", _DOWN: "more_dependents"}
    limits = []
    if full:
        limits.append(f"the limit of {limit:,} keys was met: others are left out")
    elif any(found.nodes[node][cut[way]] for way in near for node in last[way]):
        limits.append(f"what is more than {_edges(depth)} away is left out")
    found.graph.update(key=key, limits="; ".join(limits))
    return Neighbourhood(key, found, limits)


def _nearest(
    near: dict[int, Callable[[str], Iterable[str]]], key: str, depth: int, limit: int
) -> tuple[dict[str, int], dict[int, list[str]], bool]:
    """Steps from the key by key, nearest first; the last of each way; if the limit was met."""
    steps = {key: 0}
    seen = {way: {key} for way in near}  # each way its own: in a cycle a key lies on both
    fringe = {way: [key] for way in near}
    for step in range(1, depth + 1):
        turns = deque((way, iter(near[way](node))) for way in near for node in fringe[way])
        fringe = {way: [] for way in near}
        while turns:
            way, nodes = turns.popleft()
            node = next((n for n in nodes if n not in seen[way]), None)
            if node is None:
                continue
            if node not in steps and len(steps) == limit:
                return steps, fringe, True
            if steps.get(node, -step) == -step:  # as far both ways: it counts as a dependent
                steps[node] = way * step
            seen[way].add(node)
            fringe[way].append(node)
            turns.append((way, nodes))
    return steps, fringe, False


def between(graph: Graph, nodes: list[str]) -> Graph:
    """A copy of these nodes and the edges between them, whatever else hangs on them."""
    found: Graph = nx.DiGraph()
    found.add_nodes_from(nodes)
    for node in nodes:
        if graph.in_degree(node) <= len(nodes):
            inputs = [u for u in graph.predecessors(node) if u in found]
        else:
            inputs = [u for u in nodes if graph.has_edge(u, node)]
        found.add_edges_from((u, node) for u in inputs)
    return found


def _edges(number: int) -> str:
    return "1 edge" if number == 1 else f"{number} edges"
