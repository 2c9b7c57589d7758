"""The graph and what an invalidation reaches in it, against networkx's own plain notions."""

from __future__ import annotations

from typing import NamedTuple, Self

import networkx as nx
from hypothesis import given, settings
from hypothesis import strategies as st

from cachekeeper.core.graph.arrays import GraphArrays
from cachekeeper.core.graph.digraph import SnapshotGraph
from cachekeeper.core.graph.figures import figures, leaves
from cachekeeper.core.graph.reach import reach

Pairs = list[tuple[str, str]]

nodes = st.integers(0, 11).map(str)
edges = st.lists(st.tuples(nodes, nodes), max_size=40)
few = st.integers(0, 3).map(str)  # cycles are common among few
few_edges = st.lists(st.tuples(few, few), min_size=2, max_size=6)
seeds = st.lists(st.integers(0, 14).map(str), max_size=5)  # some that the graph does not know
limits = st.integers(1, 6)


class Change(NamedTuple):
    """What became of the inputs of a key."""

    v: str
    added: list[str]
    removed: list[str]


class Reached:
    """What was reached, in plain lists; ``graph`` is plain, too."""

    def __init__(self, graph: nx.DiGraph, starts: list[str], limit: int | None) -> None:
        found = reach(SnapshotGraph.on(GraphArrays.of(graph.edges)), starts, limit)
        self.order, self.depth = list(found.order), found.depth
        self.beyond = sorted(found.beyond)
        self.cycles = [list(cycle) for cycle in found.cycles]


def graph_of(pairs: Pairs) -> nx.DiGraph:
    graph = nx.DiGraph()
    graph.add_edges_from(pairs)
    return graph


def plainly(graph: nx.DiGraph, starts: list[str], limit: int | None = None) -> set[str]:
    """The seeds and everything below them, at most ``limit`` edges away."""
    found = set(starts)
    for start in starts:
        if start in graph:
            below = nx.single_source_shortest_path_length(graph, start, cutoff=limit)
            found |= set(below)
    return found


@given(edges, seeds)
def test_without_a_limit_everything_derived_is_reached(pairs: Pairs, starts: list[str]) -> None:
    graph = graph_of(pairs)
    found = Reached(graph, starts, 100)
    expected = set(starts)
    for seed in starts:
        expected |= nx.descendants(graph, seed) if seed in graph else set()
    assert set(found.order) == expected
    assert found.beyond == []


@given(edges, seeds, limits)
def test_a_limit_leaves_out_only_what_is_farther_and_names_where_it_stopped(
    pairs: Pairs, starts: list[str], limit: int
) -> None:
    graph = graph_of(pairs)
    found = Reached(graph, starts, limit)
    within, farther = plainly(graph, starts, limit), plainly(graph, starts, limit + 1)
    assert set(found.order) == within
    assert set(found.beyond) == farther - within
    assert found.depth <= limit
    assert plainly(graph, starts, found.depth) == within


@given(edges, seeds, limits)
def test_no_key_stands_twice(pairs: Pairs, starts: list[str], limit: int) -> None:
    order = Reached(graph_of(pairs), starts, limit).order
    assert len(order) == len(set(order))


@given(edges, seeds, limits)
@settings(max_examples=300)
def test_sources_stand_first_unless_both_lie_on_one_cycle(
    pairs: Pairs, starts: list[str], limit: int
) -> None:
    graph = graph_of(pairs)
    found = Reached(graph, starts, limit)
    place = {key: i for i, key in enumerate(found.order)}
    inside = graph.subgraph(found.order)
    for u, v in inside.edges:
        assert place[u] < place[v] or nx.has_path(inside, v, u)


@given(few_edges, seeds)
def test_cycles_are_reported_whole_and_stand_together(pairs: Pairs, starts: list[str]) -> None:
    found = Reached(graph_of(pairs), starts, 100)
    inside = graph_of(pairs).subgraph(found.order)
    loops = [c for c in nx.strongly_connected_components(inside) if len(c) > 1]
    assert sorted(map(sorted, found.cycles)) == sorted(map(sorted, loops))
    for cycle in found.cycles:
        places = [found.order.index(key) for key in cycle]
        assert max(places) - min(places) == len(cycle) - 1


@given(edges, seeds, limits, st.randoms(use_true_random=False))
def test_what_is_reached_does_not_depend_on_the_order_of_edges_or_seeds(
    pairs: Pairs, starts: list[str], limit: int, random: object
) -> None:
    assert hasattr(random, "sample")
    other_pairs = random.sample(pairs, len(pairs))
    other_starts = random.sample(starts, len(starts))
    one = Reached(graph_of(pairs), starts, limit)
    other = Reached(graph_of(other_pairs), other_starts, limit)
    assert (set(one.order), one.depth, one.beyond) == (set(other.order), other.depth, other.beyond)


class Both:
    """The same graph plainly and in arrays."""

    def __init__(self, pairs: Pairs) -> None:
        self.plain = graph_of(pairs)
        self.ours = SnapshotGraph.on(GraphArrays.of(pairs))

    def change(self, changes: list[Change]) -> Self:
        for change in changes:
            self.plain.add_edges_from((u, change.v) for u in change.added)
            gone = set(change.removed) - set(change.added)
            self.plain.remove_edges_from([(u, change.v) for u in gone])
        self.plain.remove_nodes_from([n for n, degree in [*self.plain.degree] if not degree])
        changes = [c._replace(removed=[u for u in c.removed if u not in c.added]) for c in changes]
        self.ours.apply(changes)
        return self

    def compact(self) -> Self:
        self.ours = SnapshotGraph.on(self.ours.compacted())
        return self

    def are_one(self) -> None:
        plain, ours = self.plain, self.ours
        assert set(ours) == set(plain)
        assert len(ours) == len(plain)
        assert set(ours.edges) == set(plain.edges)
        assert ours.number_of_edges() == plain.number_of_edges()
        assert {n: set(ours.pred[n]) for n in ours} == {n: set(plain.pred[n]) for n in plain}
        assert dict(ours.out_degree) == dict(plain.out_degree)
        components = nx.strongly_connected_components
        assert set(map(frozenset, components(ours))) == set(map(frozenset, components(plain)))
        for node in plain:
            assert nx.descendants(ours, node) == nx.descendants(plain, node)
            assert nx.ancestors(ours, node) == nx.ancestors(plain, node)
            assert set(reach(ours, [node]).order) == nx.descendants(plain, node) | {node}
            assert all(ours.has_edge(node, v) == plain.has_edge(node, v) for v in plain)
        assert set(ours.copy().edges) == set(plain.edges)
        assert set(ours.reverse(copy=False).edges) == set(plain.reverse().edges)
        half = [*plain][::2]
        assert set(ours.subgraph(half).edges) == set(plain.subgraph(half).edges)


keys = st.integers(0, 8).map(str)
more_keys = st.integers(0, 12).map(lambda number: f"é{number}")
any_key = st.one_of(keys, more_keys)
changes = st.lists(
    st.builds(Change, any_key, st.lists(any_key, max_size=3), st.lists(any_key, max_size=3)),
    max_size=6,
)
history = st.lists(st.tuples(changes, st.booleans()), max_size=4)


@given(st.lists(st.tuples(keys, keys), max_size=20), history)
@settings(max_examples=200)
def test_it_is_a_networkx_graph_whatever_happened_to_it(
    pairs: Pairs, history: list[tuple[list[Change], bool]]
) -> None:
    both = Both(pairs)
    both.are_one()
    for changed, compacted in history:
        both.change(changed).are_one()
        if compacted:
            both.compact().are_one()


@given(st.lists(st.tuples(keys, keys), max_size=20), changes)
def test_a_change_that_comes_twice_is_one(pairs: Pairs, changed: list[Change]) -> None:
    both = Both(pairs).change(changed)
    both.ours.apply(
        [c._replace(removed=[u for u in c.removed if u not in c.added]) for c in changed]
    )
    both.are_one()


@given(st.lists(st.tuples(keys, keys), max_size=30), changes)
def test_figures_are_those_that_networkx_finds(pairs: Pairs, changed: list[Change]) -> None:
    both = Both(pairs).change(changed)
    plain, found = both.plain, figures(both.ours)
    condensed = nx.condensation(plain) if len(plain) else plain
    assert found.nodes == plain.number_of_nodes()
    assert found.edges == plain.number_of_edges()
    assert found.largest_fan_out == max((degree for _, degree in plain.out_degree), default=0)
    assert found.largest_fan_in == max((degree for _, degree in plain.in_degree), default=0)
    assert found.cycles == sum(len(c) > 1 for c in nx.strongly_connected_components(plain))
    assert found.depth == (nx.dag_longest_path_length(condensed) if len(plain) else 0)
    assert set(leaves(both.ours)) == {node for node, degree in plain.out_degree if not degree}
