"""A graph in formats that other programs read, as lines."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import networkx as nx

from cachekeeper.core.graph.neighbourhood import Graph

#: Characters that an XML document can't hold, not even escaped.
NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def dot(graph: Graph) -> Iterator[str]:
    """In the language of Graphviz, sources on the left."""
    yield "digraph dependencies {"
    yield "  rankdir=LR; node [shape=box];"
    for node in graph:
        yield f"  {_quoted(node)};"
    for u, v in graph.edges():
        yield f"  {_quoted(u)} -> {_quoted(v)};"
    yield "}"


def node_link(graph: Graph) -> Iterator[str]:
    """As JSON for ``networkx.node_link_graph(data, edges="edges")``, one line a node or edge."""
    about = json.dumps({"directed": True, "multigraph": False, "graph": graph.graph})
    yield f'{about.removesuffix("}")}, "nodes": ['
    yield from _listed({"id": node, **told} for node, told in graph.nodes(data=True))
    yield '], "edges": ['
    yield from _listed({"source": u, "target": v} for u, v in graph.edges())
    yield "]}"


def graphml(graph: Graph) -> Iterator[str]:
    """As GraphML for networkx, Gephi, yEd; all of it is built in memory first.

    A character that XML can't hold is written as its number after a backslash and ``u``.
    """
    strange = {node for node in graph if NOT_XML.search(node)}
    yield from nx.generate_graphml(_renamed(graph, strange) if strange else graph)


def _quoted(key: str) -> str:
    """A quoted id; Graphviz takes a backslash in labels as the start of an escape."""
    return '"' + key.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _listed(items: Iterator[dict[str, object]]) -> Iterator[str]:
    """The items of a JSON list, with commas between them."""
    last = next(items, None)
    for item in items:
        yield f"{json.dumps(last)},"
        last = item
    if last is not None:
        yield json.dumps(last)


def _renamed(graph: Graph, strange: set[str]) -> Graph:
    """A copy in which these nodes have names that XML can hold, and no two the same."""
    names: dict[str, str] = {}
    taken = set(graph)
    for node in strange:
        name = NOT_XML.sub(lambda found: f"\\u{ord(found[0]):04x}", node)
        while name in taken:
            name += "'"
        taken.add(name)
        names[node] = name
    copy: Graph = nx.DiGraph()
    copy.add_nodes_from((names.get(n, n), told) for n, told in graph.nodes(data=True))
    copy.add_edges_from((names.get(u, u), names.get(v, v)) for u, v in graph.edges())
    return copy
