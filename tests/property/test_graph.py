"""What an invalidation reaches, against networkx's own plain notions of it."""

from __future__ import annotations

import networkx as nx
from hypothesis import given, settings
from hypothesis import strategies as st

from cachekeeper.core.graph import Graph, affected

nodes = st.integers(0, 11).map(str)
edges = st.lists(st.tuples(nodes, nodes), max_size=40)
few = st.integers(0, 3).map(str)  # cycles are common among few
few_edges = st.lists(st.tuples(few, few), min_size=2, max_size=6)
seeds = st.lists(st.integers(0, 14).map(str), max_size=5)  # some that the graph does not know
limits = st.integers(1, 6)


def graph_of(pairs: list[tuple[str, str]]) -> Graph:
    graph: Graph = nx.DiGraph()
    graph.add_edges_from(pairs)
    return graph


def reach(graph: Graph, starts: list[str], limit: int | None = None) -> set[str]:
    """The seeds and everything below them, at most ``limit`` edges away."""
    found = set(starts)
    for start in starts:
        if start in graph:
            below = nx.single_source_shortest_path_length(graph, start, cutoff=limit)
            found |= set(below)
    return found


@given(edges, seeds)
def test_without_a_limit_everything_derived_is_reached(
    pairs: list[tuple[str, str]], starts: list[str]
) -> None:
    graph = graph_of(pairs)
    found = affected(graph, starts, 100)
    expected = set(starts)
    for seed in starts:
        expected |= nx.descendants(graph, seed) if seed in graph else set()
    assert set(found.order) == expected
    assert found.beyond == []


@given(edges, seeds, limits)
def test_a_limit_leaves_out_only_what_is_farther_and_names_where_it_stopped(
    pairs: list[tuple[str, str]], starts: list[str], limit: int
) -> None:
    graph = graph_of(pairs)
    found = affected(graph, starts, limit)
    within, farther = reach(graph, starts, limit), reach(graph, starts, limit + 1)
    assert set(found.order) == within
    assert set(found.beyond) == farther - within
    assert found.depth <= limit
    assert reach(graph, starts, found.depth) == within


@given(edges, seeds, limits)
def test_no_key_stands_twice(pairs: list[tuple[str, str]], starts: list[str], limit: int) -> None:
    order = affected(graph_of(pairs), starts, limit).order
    assert len(order) == len(set(order))


@given(edges, seeds, limits)
@settings(max_examples=300)
def test_sources_stand_first_unless_both_lie_on_one_cycle(
    pairs: list[tuple[str, str]], starts: list[str], limit: int
) -> None:
    graph = graph_of(pairs)
    found = affected(graph, starts, limit)
    place = {key: i for i, key in enumerate(found.order)}
    inside = graph.subgraph(found.order)
    for u, v in inside.edges:
        assert place[u] < place[v] or nx.has_path(inside, v, u)


@given(few_edges, seeds)
def test_cycles_are_reported_whole_and_stand_together(
    pairs: list[tuple[str, str]], starts: list[str]
) -> None:
    found = affected(graph_of(pairs), starts, 100)
    inside = graph_of(pairs).subgraph(found.order)
    loops = [c for c in nx.strongly_connected_components(inside) if len(c) > 1]
    assert sorted(map(sorted, found.cycles)) == sorted(map(sorted, loops))
    for cycle in found.cycles:
        places = [found.order.index(key) for key in cycle]
        assert max(places) - min(places) == len(cycle) - 1


@given(edges, seeds, limits, st.randoms(use_true_random=False))
def test_what_is_reached_does_not_depend_on_the_order_of_edges_or_seeds(
    pairs: list[tuple[str, str]], starts: list[str], limit: int, random: object
) -> None:
    assert hasattr(random, "sample")
    other_pairs = random.sample(pairs, len(pairs))
    other_starts = random.sample(starts, len(starts))
    one = affected(graph_of(pairs), starts, limit)
    other = affected(graph_of(other_pairs), other_starts, limit)
    assert (set(one.order), one.depth, one.beyond) == (set(other.order), other.depth, other.beyond)
