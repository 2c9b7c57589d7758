"""Formats for other programs: what comes out is the graph that went in, whatever its keys."""

from __future__ import annotations

import io
import json
import re
from typing import Any

import networkx as nx

from cachekeeper.core.graph.exchange import dot, graphml, node_link
from cachekeeper.core.graph.neighbourhood import Graph, around

#: A quoted id of DOT: only a quotation mark is escaped, and a backslash that we doubled.
QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')


def hostile() -> Graph:
    """Keys that mean something to a format, one as long as a key may be, and one alone."""
    graph: Graph = nx.DiGraph()
    nx.add_path(
        graph,
        [
            'a:"><script>alert(1)</script>',
            "b:\\",
            'c:\\" -> "d:x"; //',
            "e:{}[]|<b>&amp;\\N\\l",
            "ü:写真 😀 \u202e",
            f"f:{'é' * 255}",
            "g:]]>",
        ],
    )
    graph.add_node("lonely:1")
    return graph


def test_dot_quotes_what_means_something_there() -> None:
    lines = list(dot(hostile()))
    assert (lines[0], lines[-1]) == ("digraph dependencies {", "}")
    assert [line for line in lines[2:-1] if QUOTED.sub("", line) not in ("  ;", "   -> ;")] == []
    plain = [[_unquoted(key) for key in QUOTED.findall(line)] for line in lines[2:-1]]
    assert [key for found in plain if len(found) == 1 for key in found] == list(hostile())
    assert [tuple(found) for found in plain if len(found) == 2] == list(hostile().edges)


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)


def test_json_is_read_by_networkx() -> None:
    assert same(_from_json(hostile()), hostile())


def test_graphml_is_read_by_networkx() -> None:
    assert same(_from_graphml(hostile()), hostile())


def test_a_part_says_what_it_lacks() -> None:
    part = around(hostile(), "b:\\", depth=1, limit=2).graph
    for read in (_from_json(part), _from_graphml(part)):
        assert dict(read.nodes.items()) == dict(part.nodes.items())
        assert read.graph["key"] == "b:\\"
        assert "limit of 2 keys" in read.graph["limits"]


def test_characters_that_xml_has_not_are_replaced_and_no_two_keys_become_one() -> None:
    graph: Graph = nx.DiGraph([("a:\ufffe", "a:\\ufffe"), ("a:\\ufffe", "a:\uffff")])
    read = _from_graphml(graph)
    assert list(read.edges) == [("a:\\ufffe'", "a:\\ufffe"), ("a:\\ufffe", "a:\\uffff")]
    assert same(_from_json(graph), graph)


def test_of_nothing() -> None:
    empty: Graph = nx.DiGraph()
    assert len(_from_json(empty)) == len(_from_graphml(empty)) == 0
    assert len(list(dot(empty))) == 3


def _from_json(graph: Graph) -> Any:
    return nx.node_link_graph(json.loads("\n".join(node_link(graph))), edges="edges")


def _from_graphml(graph: Graph) -> Any:
    return nx.read_graphml(io.BytesIO("\n".join(graphml(graph)).encode()))


def same(a: Graph, b: Graph) -> bool:
    return (set(a), set(a.edges)) == (set(b), set(b.edges)) and a.is_directed()
