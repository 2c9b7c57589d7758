"""How one key leads to another."""

from __future__ import annotations

import random

import networkx as nx
import pytest

from cachekeeper.core.graph.neighbourhood import Graph
from cachekeeper.core.graph.ways import Ways, shortest_ways
from cachekeeper.errors import InvalidInput
from tests.unit.test_neighbourhood import graph_of


def test_all_that_are_shortest() -> None:
    ways = shortest_ways(graph_of("a>b>d", "a>c>d", "a>x>y>d"), "a", "d")
    assert ways == Ways([["a", "b", "d"], ["a", "c", "d"]], 2)


def test_against_the_arrows_there_is_no_way() -> None:
    assert shortest_ways(graph_of("a>b>c"), "c", "a") == Ways()


def test_some_are_shown_and_all_are_counted() -> None:
    layers = [[f"{layer}.{i}" for i in range(10)] for layer in range(6)]
    graph: Graph = nx.DiGraph()
    for left, right in zip([["a"], *layers], [*layers, ["b"]], strict=True):
        graph.add_edges_from((u, v) for u in left for v in right)
    ways = shortest_ways(graph, "a", "b", most=3)
    assert ways.number == 10**6
    assert [len(way) for way in ways.shown] == [8, 8, 8]


@pytest.mark.parametrize("seed", range(20))
def test_they_are_those_of_networkx(seed: int) -> None:
    graph: Graph = nx.relabel_nodes(nx.gnp_random_graph(40, 0.06, seed, directed=True), str)
    a, b = random.Random(seed).sample(sorted(graph), 2)
    there = nx.has_path(graph, a, b)
    known = sorted(nx.all_shortest_paths(graph, a, b)) if there else []
    assert shortest_ways(graph, a, b, most=1000) == Ways(known, len(known))


def test_a_search_that_grows_too_large_says_so() -> None:
    graph = graph_of("a>b")
    graph.add_edges_from(("a", f"x{i}") for i in range(1000))
    graph.add_edges_from((f"y{i}", "c") for i in range(1000))
    assert shortest_ways(graph, "a", "c", searched=100).gave_up
    assert shortest_ways(graph, "a", "b", searched=100).number == 1  # from the end it is near


def test_what_is_not_allowed_is_named() -> None:
    graph = graph_of("a>b")
    with pytest.raises(InvalidInput, match=r"^a: 'x'"):
        shortest_ways(graph, "x", "b")
    with pytest.raises(InvalidInput, match=r"^b: 'x'"):
        shortest_ways(graph, "a", "x")
    with pytest.raises(InvalidInput, match="another key than a"):
        shortest_ways(graph, "a", "a")
