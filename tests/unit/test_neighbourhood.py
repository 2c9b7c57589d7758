"""What is near a key: how far, how much, and what is said of the rest."""

from __future__ import annotations

import networkx as nx
import pytest

from cachekeeper.core.graph.neighbourhood import Graph, around
from cachekeeper.core.graph.tree import tree
from cachekeeper.errors import InvalidInput


def graph_of(*chains: str) -> Graph:
    """``"a>b>c"`` says that b was derived from a and c from b."""
    graph: Graph = nx.DiGraph()
    for chain in chains:
        nx.add_path(graph, chain.split(">"))
    return graph


def hub(dependents: int) -> Graph:
    """``hub`` with two sources and so many dependents."""
    graph = graph_of("s1>hub", "s2>hub")
    graph.add_edges_from(("hub", f"d{i:05}") for i in range(dependents))
    return graph


def test_both_ways_and_every_edge_between_what_was_found() -> None:
    near = around(graph_of("a>b>c>d", "b>d", "x>c", "a>y"), "b", depth=2, limit=10)
    assert dict(near.graph.nodes(data="steps")) == {"b": 0, "a": -1, "c": 1, "d": 1}
    assert set(near.graph.edges) == {("a", "b"), ("b", "c"), ("c", "d"), ("b", "d")}
    assert near.graph.nodes["c"]["more_sources"] == 1
    assert near.graph.nodes["a"]["more_dependents"] == 1
    assert near.limits == []


def test_dependents_alone() -> None:
    near = around(graph_of("a>b>c"), "b", depth=5, limit=10, sources=False)
    assert set(near.graph) == {"b", "c"}
    assert near.graph.nodes["b"]["more_sources"] == 1


def test_the_depth_says_so_only_where_something_is_beyond() -> None:
    chain = graph_of("0>1>2>3>4")
    near = around(chain, "0", depth=3, limit=10)
    assert set(near.graph) == {"0", "1", "2", "3"}
    assert near.limits == ["what is more than 3 edges away is left out"]
    assert around(chain, "0", depth=4, limit=10).limits == []
    assert around(chain, "2", depth=1, limit=10).limits == [
        "what is more than 1 edge away is left out"
    ]


def test_the_limit_takes_the_nearest_and_from_each_its_share() -> None:
    graph = hub(1000)
    graph.add_edges_from(("d00000", f"e{i}") for i in range(50))
    near = around(graph, "hub", depth=2, limit=10)
    assert len(near.graph) == 10
    assert {"s1", "s2"} <= set(near.graph)  # a thousand dependents don't push the sources out
    assert near.graph.nodes["hub"]["more_dependents"] == 1000 - 7
    assert near.limits == ["the limit of 10 keys was met: others are left out"]
    assert around(graph_of("a>b>c"), "a", depth=5, limit=3).limits == []


def test_a_key_on_a_cycle_is_followed_both_ways() -> None:
    near = around(graph_of("a>b>c>a", "c>out"), "a", depth=3, limit=10)
    assert set(near.graph) == {"a", "b", "c", "out"}  # out: three edges down, by a key found above


def test_a_key_as_far_both_ways_counts_as_a_dependent_and_its_limits_both_ways() -> None:
    near = around(graph_of("a>b>a", "b>below"), "a", depth=1, limit=10)
    assert near.graph.nodes["b"]["steps"] == 1
    assert near.limits == ["what is more than 1 edge away is left out"]
    near = around(graph_of("a>b>a", "above>b"), "a", depth=1, limit=10)
    assert near.limits == ["what is more than 1 edge away is left out"]


class Watched(nx.DiGraph):
    """Counts the neighbours that were looked at."""

    looked = 0

    def successors(self, node: str):  # type: ignore[no-untyped-def]
        for found in super().successors(node):
            self.looked += 1
            yield found


def test_a_hub_costs_what_is_shown_and_not_what_there_is() -> None:
    graph = Watched(hub(100_000))
    near = around(graph, "s1", depth=5, limit=60)
    assert len(near.graph) == 60
    assert graph.looked < 200
    assert near.graph.nodes["hub"]["more_dependents"] == 100_000 - 58


def test_what_is_not_allowed_is_named() -> None:
    graph = graph_of("a>b")
    with pytest.raises(InvalidInput, match=r"^key: 'x:1' .* a key of the dependency graph"):
        around(graph, "x:1", depth=1, limit=1)
    for depth in (0, -1, 101):
        with pytest.raises(InvalidInput, match=rf"^depth: {depth} .* 1 to 100 edges"):
            around(graph, "a", depth=depth, limit=1)
    for limit in (0, 100_001):
        with pytest.raises(InvalidInput, match=rf"^limit: {limit} .* 1 to 100,000 keys"):
            around(graph, "a", depth=1, limit=limit)


def text_of(graph: Graph, key: str, depth: int = 5, limit: int = 100) -> str:
    return "\n".join(tree(around(graph, key, depth=depth, limit=limit, sources=False)))


def test_a_tree() -> None:
    graph = graph_of("file>thumb>album>page", "file>exif>map", "thumb>page")
    assert text_of(graph, "file") == (
        "file\n"
        "├── exif\n"
        "│   └── map\n"
        "└── thumb\n"
        "    ├── album\n"
        "    │   └── page  (see below)\n"
        "    └── page"
    )


def test_a_key_shown_again_is_marked_and_not_expanded_again() -> None:
    assert text_of(graph_of("a>b>d>e", "a>c>d"), "a") == (
        "a\n"
        "├── b\n"
        "│   └── d\n"
        "│       └── e\n"
        "└── c\n"
        "    └── d  (see above)"
    )  # fmt: skip


def test_cycles_end() -> None:
    assert text_of(graph_of("a>b>a", "b>b"), "a") == (
        "a\n"
        "└── b\n"
        "    ├── a  (a cycle: see above)\n"
        "    └── b  (a cycle: see above)"
    )  # fmt: skip


def test_what_is_left_out_is_counted_where_it_hangs() -> None:
    assert text_of(hub(123), "hub", limit=4) == (
        "hub\n"
        "├── d00000\n"
        "├── d00001\n"
        "├── d00002\n"
        "└── … 120 more"
    )  # fmt: skip
    assert text_of(graph_of("a>b>c", "b>d"), "a", depth=1) == "a\n└── b\n    └── … 2 more"


def test_nothing_below() -> None:
    assert text_of(graph_of("a>b"), "b") == "b"
