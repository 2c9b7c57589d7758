"""What an invalidation reaches: the depth limit, cycles, keys nobody knows (SPEC 4)."""

from __future__ import annotations

import networkx as nx
import pytest

from cachekeeper.core.graph import Graph, affected


def graph_of(*chains: str) -> Graph:
    """``"a>b>c"`` says that b was derived from a and c from b."""
    graph: Graph = nx.DiGraph()
    for chain in chains:
        nx.add_path(graph, chain.split(">"))
    return graph


def test_nothing_reaches_nothing() -> None:
    found = affected(graph_of("a>b"), [], 5)
    assert (found.order, found.depth, found.beyond, found.cycles) == ([], 0, [], [])


def test_an_empty_graph_is_a_graph() -> None:
    assert affected(graph_of(), ["x:1"], 5).order == ["x:1"]


def test_sources_stand_before_what_was_derived_from_them() -> None:
    found = affected(graph_of("file>thumb>album", "file>album"), ["file"], 5)
    assert found.order == ["file", "thumb", "album"]
    assert found.depth == 1  # there is a way of one edge to each


def test_what_is_above_a_seed_is_left_alone() -> None:
    assert affected(graph_of("a>b>c", "x>c"), ["b"], 5).order == ["b", "c"]


def test_a_key_the_graph_does_not_know_is_invalidated_all_the_same_and_first() -> None:
    found = affected(graph_of("a>b"), ["a", "new:1", "new:2", "new:1"], 5)
    assert found.order == ["new:1", "new:2", "a", "b"]


def test_a_seed_that_hangs_below_another_still_comes_after_it() -> None:
    assert affected(graph_of("a>b>c"), ["c", "a"], 5).order == ["a", "b", "c"]
    assert affected(graph_of("a>b>c"), ["c", "c", "c"], 5).order == ["c"]


def test_the_depth_limit_names_the_first_keys_past_it() -> None:
    chain = graph_of("0>1>2>3>4>5>6>7", "4>5b>6b")
    found = affected(chain, ["0"], 5)
    assert found.order[:5] == ["0", "1", "2", "3", "4"]
    assert set(found.order[5:]) == {"5", "5b"}
    assert found.depth == 5
    assert found.beyond == ["6", "6b"]


def test_a_graph_that_ends_at_the_limit_has_nothing_beyond() -> None:
    found = affected(graph_of("0>1>2>3>4>5"), ["0"], 5)
    assert len(found.order) == 6
    assert (found.depth, found.beyond) == (5, [])


def test_depth_is_counted_along_the_shortest_way() -> None:
    found = affected(graph_of("a>b>c>d", "a>d"), ["a"], 1)
    assert set(found.order) == {"a", "b", "d"}
    assert found.beyond == ["c"]


def test_what_lies_within_reach_of_any_seed_is_not_beyond() -> None:
    found = affected(graph_of("a>b>c", "x>c"), ["a", "x"], 1)
    assert set(found.order) == {"a", "b", "x", "c"}
    assert found.beyond == []


def test_a_cycle_is_invalidated_as_a_whole_and_reported() -> None:
    found = affected(graph_of("in>a>b>c>a", "c>out"), ["in"], 5)
    assert found.order[0] == "in"
    assert set(found.order[1:4]) == {"a", "b", "c"}
    assert found.order[4:] == ["out"]
    assert [set(cycle) for cycle in found.cycles] == [{"a", "b", "c"}]


def test_a_cycle_may_be_entered_anywhere() -> None:
    for seed in "abc":
        assert set(affected(graph_of("a>b>c>a"), [seed], 5).order) == {"a", "b", "c"}


def test_a_key_derived_from_itself_does_no_harm() -> None:
    assert affected(graph_of("a>a>b"), ["a"], 5).order == ["a", "b"]


def test_two_cycles_that_share_a_key_are_one() -> None:
    found = affected(graph_of("a>b>a", "b>c>b"), ["a"], 5)
    assert sorted(found.order) == ["a", "b", "c"]
    assert len(found.cycles) == 1


@pytest.mark.parametrize("limit", [1, 5, 2000])
def test_a_long_chain_is_walked_without_recursion(limit: int) -> None:
    chain = graph_of(">".join(str(i) for i in range(2001)))
    found = affected(chain, ["0"], limit)
    assert found.order == [str(i) for i in range(limit + 1)]


def test_the_graph_is_only_read() -> None:
    graph = graph_of("a>b>a", "b>c")
    before = (set(graph.nodes), set(graph.edges))
    affected(graph, ["a", "unknown"], 1)
    assert (set(graph.nodes), set(graph.edges)) == before
