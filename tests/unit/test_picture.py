"""The picture: every key has its box, no two overlap, and nothing in a key is markup."""

from __future__ import annotations

from itertools import pairwise
from xml.etree import ElementTree

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachekeeper.core.graph.neighbourhood import Graph, around
from cachekeeper.core.graph.picture import MAX_DRAWN, SHOWN, drawn, shortened
from cachekeeper.errors import InvalidInput
from tests.unit.test_exchange import hostile
from tests.unit.test_neighbourhood import graph_of

SVG = "{http://www.w3.org/2000/svg}"
KEYS = st.integers(0, 11).map(lambda i: f"n:{i}")


class Drawing:
    """What a picture shows."""

    def __init__(self, graph: Graph, key: str, depth: int = 9, limit: int = 60) -> None:
        self.near = around(graph, key, depth=depth, limit=limit)
        self.text = drawn(self.near)
        self.root = ElementTree.fromstring(self.text)
        self.width, self.height = (float(self.root.attrib[of]) for of in ("width", "height"))
        (body,) = self.root.findall(f"{SVG}g")
        self.body = body
        self.dy = float(body.attrib["transform"].rstrip(")").split()[1])
        self.boxes = {
            group.findtext(f"{SVG}title"): _rect(group.findall(f"{SVG}rect[@class='box']")[0])
            for group in body.findall(f"{SVG}g")
        }

    def paths(self, kind: str) -> list[str]:
        return [path.attrib["d"] for path in self.body.findall(f"{SVG}path[@class='{kind}']")]

    def texts(self, kind: str) -> list[str]:
        return ["".join(t.itertext()) for t in self.root.iter(f"{SVG}text") if _is(t, kind)]


def _is(element: ElementTree.Element, kind: str) -> bool:
    return element.attrib["class"] == kind


def _rect(element: ElementTree.Element) -> tuple[float, float, float, float]:
    x, y, width, height = (float(element.attrib[of]) for of in ("x", "y", "width", "height"))
    return x, y, x + width, y + height


def test_arrows_run_from_left_to_right() -> None:
    found = Drawing(graph_of("file>thumb>album", "file>album"), "thumb")
    assert found.boxes["file"][2] < found.boxes["thumb"][0]
    assert found.boxes["thumb"][2] < found.boxes["album"][0]
    assert len(found.paths("edge")) == 3
    assert found.texts("key") == ["thumb"]
    assert found.texts("soft")[0] == "1 source, 1 dependent; source → derived"
    (centre,) = found.body.findall(f"{SVG}g[@class='centre']")
    assert centre.findtext(f"{SVG}title") == "thumb"


def test_an_edge_passes_the_boxes_between_its_ends() -> None:
    found = Drawing(graph_of("a>b>c>d", "a>d"), "a")
    (long,) = (path for path in found.paths("edge") if path.count("C") > 1)
    numbers = [float(n) for n in long.replace("M", "").replace("C", "").replace(",", " ").split()]
    points = list(zip(numbers[::2], numbers[1::2], strict=True))
    for name in "bc":
        left, top, right, bottom = found.boxes[name]
        within = [y for x, y in points if left <= x <= right]
        assert within
        assert not [y for y in within if top <= y <= bottom]


def test_a_cycle_stands_in_a_frame() -> None:
    found = Drawing(graph_of("in>a>b>c>a", "c>out", "out>out"), "a")
    (frame,) = (_rect(r) for r in found.body.findall(f"{SVG}rect[@class='frame']"))
    inside = {key for key, box in found.boxes.items() if _within(box, frame)}
    assert inside == {"a", "b", "c"}
    assert len(found.paths("round")) == 4  # three of the cycle, and one key derived from itself
    assert len(found.paths("edge")) == 2
    assert found.texts("said") == ["cycle"]


def _within(box: tuple[float, ...], frame: tuple[float, ...]) -> bool:
    return frame[0] < box[0] and frame[1] < box[1] and box[2] < frame[2] and box[3] < frame[3]


def test_what_is_left_out_is_drawn_as_a_number() -> None:
    graph = graph_of("s>hub", "x>d00")
    graph.add_edges_from(("hub", f"d{i:02}") for i in range(90))
    found = Drawing(graph, "hub", limit=11)
    assert sorted(found.texts("number")) == ["+1", "+81"]
    assert found.texts("said") == ["the limit of 11 keys was met: others are left out"]
    titles = [t.text for t in found.body.iter(f"{SVG}title")]
    assert "81 more direct dependents, not drawn" in titles


def test_nothing_in_a_key_is_markup() -> None:
    graph = hostile()
    graph.add_edge("odd:\ufffe\x0b", 'a:"><script>alert(1)</script>')
    found = Drawing(graph, "b:\\")
    assert set(found.boxes) == {
        key.replace("\ufffe\x0b", "\ufffd\ufffd") for key in found.near.graph
    }
    assert {element.tag.removeprefix(SVG) for element in found.root.iter()} == {
        *("svg", "title", "style", "defs", "marker", "path", "rect", "text", "tspan", "g")
    }
    assert "http" not in found.text.replace(SVG.strip("{}"), "")  # nothing from elsewhere
    assert "\u202e" not in "".join(found.texts("name"))  # it would turn what follows


def test_one_key_alone() -> None:
    graph: Graph = nx.DiGraph()
    graph.add_node("note:milk")
    found = Drawing(graph, "note:milk")
    assert list(found.boxes) == ["note:milk"]


def test_a_picture_has_room_for_so_many() -> None:
    graph: Graph = nx.DiGraph([("hub", f"d{i}") for i in range(MAX_DRAWN)])
    drawn(around(graph, "hub", depth=1, limit=MAX_DRAWN))
    with pytest.raises(InvalidInput, match=f"limit: {MAX_DRAWN + 1} .* 1 to {MAX_DRAWN} keys"):
        drawn(around(graph, "hub", depth=1, limit=MAX_DRAWN + 1))


@pytest.mark.parametrize(
    ("key", "short"),
    [
        ("note:milk", "note:milk"),
        ("a" * SHOWN, "a" * SHOWN),
        ("file:" + "x" * 60 + "/IMG_1.jpg", "file:xxxxxxx…xxxxxxxxxxxxx/IMG_1.jpg"),
        ("写" * 30, "写写写写写写…写写写写写写写写写写写"),
    ],
)
def test_a_long_key_keeps_both_ends(key: str, short: str) -> None:
    assert shortened(key) == short


@given(st.lists(st.tuples(KEYS, KEYS), min_size=1, max_size=40))
def test_whatever_the_graph_all_is_drawn_and_no_two_boxes_overlap(
    edges: list[tuple[str, str]],
) -> None:
    graph: Graph = nx.DiGraph(edges)
    found = Drawing(graph, edges[0][0])
    near = found.near.graph
    assert set(found.boxes) == set(near)
    assert len(found.paths("edge")) + len(found.paths("round")) == near.number_of_edges()
    boxes = sorted(found.boxes.values())  # column by column, and in each from above
    for upper, lower in pairwise(boxes):
        assert upper[2] < lower[0] or (upper[0] == lower[0] and upper[3] < lower[1])
    for left, top, right, bottom in boxes:
        assert 0 <= left < right <= found.width
        assert 0 <= top + found.dy < bottom + found.dy <= found.height
    for u, v in near.edges:
        if u != v and not nx.has_path(near, v, u):
            assert found.boxes[u][2] < found.boxes[v][0]
