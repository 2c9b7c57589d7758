"""What an invalidation reaches: the depth limit, cycles, keys nobody knows (SPEC 4)."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import networkx as nx
import numpy as np
import pytest

from cachekeeper.core.graph.arrays import GraphArrays
from cachekeeper.core.graph.digraph import SnapshotGraph
from cachekeeper.core.graph.keytable import KeyArrays, KeyTable
from cachekeeper.core.graph.reach import reach


def graph_of(*chains: str) -> SnapshotGraph:
    """``"a>b>c"`` says that b was derived from a and c from b."""
    edges = [edge for chain in chains for edge in pairwise(chain.split(">"))]
    return SnapshotGraph.on(GraphArrays.of(edges))


class Reached:
    """What was reached, in plain lists."""

    def __init__(self, graph: SnapshotGraph, seeds: Iterable[str], limit: int | None) -> None:
        found = reach(graph, seeds, limit)
        self.order, self.depth = list(found.order), found.depth
        self.beyond = sorted(found.beyond)
        self.cycles = [list(cycle) for cycle in found.cycles]


def test_nothing_reaches_nothing() -> None:
    found = Reached(graph_of("a>b"), [], 5)
    assert (found.order, found.depth, found.beyond, found.cycles) == ([], 0, [], [])


def test_an_empty_graph_is_a_graph() -> None:
    assert Reached(graph_of(), ["x:1"], 5).order == ["x:1"]


def test_sources_stand_before_what_was_derived_from_them() -> None:
    found = Reached(graph_of("file>thumb>album", "file>album"), ["file"], 5)
    assert found.order == ["file", "thumb", "album"]
    assert found.depth == 1  # there is a way of one edge to each


def test_what_is_above_a_seed_is_left_alone() -> None:
    assert Reached(graph_of("a>b>c", "x>c"), ["b"], 5).order == ["b", "c"]


def test_a_key_the_graph_does_not_know_is_invalidated_all_the_same_and_first() -> None:
    found = Reached(graph_of("a>b"), ["a", "new:1", "new:2", "new:1"], 5)
    assert found.order == ["new:1", "new:2", "a", "b"]


def test_a_seed_that_hangs_below_another_still_comes_after_it() -> None:
    assert Reached(graph_of("a>b>c"), ["c", "a"], 5).order == ["a", "b", "c"]
    assert Reached(graph_of("a>b>c"), ["c", "c", "c"], 5).order == ["c"]


def test_the_depth_limit_names_the_first_keys_past_it() -> None:
    chain = graph_of("0>1>2>3>4>5>6>7", "4>5b>6b")
    found = Reached(chain, ["0"], 5)
    assert found.order[:5] == ["0", "1", "2", "3", "4"]
    assert set(found.order[5:]) == {"5", "5b"}
    assert found.depth == 5
    assert found.beyond == ["6", "6b"]


def test_a_graph_that_ends_at_the_limit_has_nothing_beyond() -> None:
    found = Reached(graph_of("0>1>2>3>4>5"), ["0"], 5)
    assert len(found.order) == 6
    assert (found.depth, found.beyond) == (5, [])


def test_depth_is_counted_along_the_shortest_way() -> None:
    found = Reached(graph_of("a>b>c>d", "a>d"), ["a"], 1)
    assert set(found.order) == {"a", "b", "d"}
    assert found.beyond == ["c"]


def test_what_lies_within_reach_of_any_seed_is_not_beyond() -> None:
    found = Reached(graph_of("a>b>c", "x>c"), ["a", "x"], 1)
    assert set(found.order) == {"a", "b", "x", "c"}
    assert found.beyond == []


def test_a_cycle_is_invalidated_as_a_whole_and_reported() -> None:
    found = Reached(graph_of("in>a>b>c>a", "c>out"), ["in"], 5)
    assert found.order[0] == "in"
    assert set(found.order[1:4]) == {"a", "b", "c"}
    assert found.order[4:] == ["out"]
    assert [set(cycle) for cycle in found.cycles] == [{"a", "b", "c"}]


def test_a_cycle_may_be_entered_anywhere() -> None:
    for seed in "abc":
        assert set(Reached(graph_of("a>b>c>a"), [seed], 5).order) == {"a", "b", "c"}


def test_a_key_derived_from_itself_does_no_harm() -> None:
    assert Reached(graph_of("a>a>b"), ["a"], 5).order == ["a", "b"]


def test_two_cycles_that_share_a_key_are_one() -> None:
    found = Reached(graph_of("a>b>a", "b>c>b"), ["a"], 5)
    assert sorted(found.order) == ["a", "b", "c"]
    assert len(found.cycles) == 1


@pytest.mark.parametrize("limit", [1, 5, 2000])
def test_a_long_chain_is_walked_without_recursion(limit: int) -> None:
    chain = graph_of(">".join(str(i) for i in range(2001)))
    found = Reached(chain, ["0"], limit)
    assert found.order == [str(i) for i in range(limit + 1)]


def test_the_graph_is_only_read() -> None:
    graph = graph_of("a>b>a", "b>c")
    before = (set(graph.nodes), set(graph.edges))
    reach(graph, ["a", "unknown"], 1)
    assert (set(graph.nodes), set(graph.edges)) == before
    with pytest.raises(nx.NetworkXError, match="Frozen"):
        graph.add_edge("a", "z")


def test_the_budget_says_that_there_may_be_more() -> None:
    wide = graph_of(*(f"a>{i}" for i in range(100)))
    found = reach(wide, ["a"], 5, budget=10)
    assert found.unfinished
    assert len(found.order) == len(set(found.order)) == 10
    assert not reach(wide, ["a"], 5, budget=102).unfinished
    assert len(reach(wide, ["a", "1", "2"], 5, budget=1).order) == 3, "seeds always count"


def test_a_cycle_is_followed_from_where_it_is_entered() -> None:
    """The edge back to its first member is hidden from the order, not from the search."""
    assert Reached(graph_of("in>b>c>a>b"), ["in"], 5).order == ["in", "b", "c", "a"]


def test_keys_of_one_hash_are_two_keys() -> None:
    names = ["a:1", "a:2", "a:3"]
    true = KeyArrays.of(names, b"salt")
    same = np.full(3, true.hashes[list(true.numbers).index(1)], np.uint64)
    table = KeyTable(KeyArrays.made(true.text, np.diff(true.starts), same, b"salt"))
    assert table.number("a:2") == 1, "found among others of its hash"
    assert table.number("a:4") is None
    assert table.keys(np.array([2, 0, 1])) == ["a:3", "a:1", "a:2"]


def test_what_is_no_key_is_in_no_graph() -> None:
    graph = graph_of("a>b")
    assert None not in graph
    assert 0 not in graph
    assert ("a",) not in graph
    assert "" not in graph
