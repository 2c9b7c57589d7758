"""A neighbourhood as a picture: SVG that stands alone, in light and dark."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from unicodedata import east_asian_width
from xml.sax.saxutils import escape

from cachekeeper.core.graph.exchange import NOT_XML
from cachekeeper.core.graph.layers import Layers, Sizes, layers
from cachekeeper.core.graph.neighbourhood import Neighbourhood
from cachekeeper.core.graph.picture_style import HUES, STYLE
from cachekeeper.core.keys import namespace_of
from cachekeeper.errors import InvalidInput

MAX_DRAWN: Final = 300  # keys; with more nobody can follow a line
SHOWN: Final = 36  # letters of a key

#: Marks that make the letters after them run the other way.
TURNS: Final = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")

#: Pixels.
LETTER: Final = 7.25  # of the monospaced font at 12 px
BOX: Final = 28.0
PAD: Final = 12.0  # from the side of a box to its text
BETWEEN: Final = 84.0  # columns
MARGIN: Final = 24.0
LINE: Final = 19.0
ARC: Final = 48.0  # how far an arc within a cycle swings out at most
SIZES: Final = Sizes(box=BOX, gap=14.0, lane=8.0, head=26.0)


@dataclass(frozen=True, slots=True)
class _Column:
    """Boxes of one width, and beside them what the arcs of cycles take."""

    left: float
    width: float
    side: float

    @property
    def right(self) -> float:
        return self.left + self.width

    @property
    def end(self) -> float:
        return self.right + self.side


def drawn(near: Neighbourhood) -> str:
    """An SVG document: boxes with keys, from sources on the left to what was derived from them.

    Each box has the whole key as its tooltip, and ``+N`` at a lower corner for N direct sources
    (left) or dependents (right) that are not drawn. A cycle stands in a frame.

    Raises:
        InvalidInput: there are more than ``MAX_DRAWN`` keys.
    """
    if len(near.graph) > MAX_DRAWN:
        raise InvalidInput("limit", len(near.graph), f"1 to {MAX_DRAWN} keys in a picture")
    placed = layers(near.graph, SIZES)
    columns = _columns(placed)
    heading = [*_heading(near), *(("said", limit) for limit in near.limits)]
    top = 1.5 * MARGIN + LINE * len(heading)
    text = max(_width(line) * (1.2 if kind == "key" else 1) for kind, line in heading)
    width = max(columns[-1].end, MARGIN + text) + MARGIN
    height = top + placed.height + MARGIN
    size = f'width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="ck" role="img" {size}>',
        f"<title>Dependencies of {_xml(near.key)}</title>",
        f"<style>{STYLE}</style>",
        f"<defs>{_tip('edge')}{_tip('round')}</defs>",
        '<rect class="ground" width="100%" height="100%"/>',
        *(
            _text(kind, MARGIN, MARGIN + LINE * i + 10, _label(line))
            for i, (kind, line) in enumerate(heading)
        ),
        f'<g transform="translate(0 {top:.0f})">',
        *_frames(placed, columns),
        *_edges(near, placed, columns),
        *_boxes(near, placed, columns),
        "</g>",
        "</svg>",
    ]
    return "\n".join(lines)


def _heading(near: Neighbourhood) -> Iterator[tuple[str, str]]:
    steps = [at for _, at in near.graph.nodes(data="steps")]
    above, below = sum(at < 0 for at in steps), sum(at > 0 for at in steps)
    yield "key", shortened(near.key, 2 * SHOWN)
    yield "soft", f"{_many(above, 'source')}, {_many(below, 'dependent')}; source → derived"
    if any(told["more_sources"] or told["more_dependents"] for _, told in near.graph.nodes.items()):
        yield "soft", "+N: direct sources (left) and dependents (right) that are not drawn"


def _columns(placed: Layers) -> list[_Column]:
    """Where the columns stand and how wide they are."""
    columns: list[_Column] = []
    for at in range(1 + max(placed.column.values())):
        keys = [key for key, column in placed.column.items() if column == at]
        width = 2 * PAD + max(_width(shortened(key)) for key in keys)
        longest = max(
            (len(keys) for keys in placed.cycles if placed.column[keys[0]] == at), default=0
        )
        side = PAD + 0.75 * _reach(longest - 1) if longest > 2 else PAD * (longest > 1)
        left = columns[-1].end + BETWEEN if columns else MARGIN
        columns.append(_Column(left + side, width, side))
    return columns


def _frames(placed: Layers, columns: list[_Column]) -> Iterator[str]:
    for keys in placed.cycles:
        column = columns[placed.column[keys[0]]]
        top, bottom = placed.y[keys[0]] - BOX / 2 - 20, placed.y[keys[-1]] + BOX / 2 + 14
        left = column.left - column.side
        yield _rect("frame", left, top, column.end - left, bottom - top, 8)
        yield _text("said", left + 8, top + 14, "cycle")


def _edges(near: Neighbourhood, placed: Layers, columns: list[_Column]) -> Iterator[str]:
    place = {key: i for keys in placed.cycles for i, key in enumerate(keys)}
    for u, v in near.graph.edges():
        a, b = columns[placed.column[u]], columns[placed.column[v]]
        y, to = placed.y[u], placed.y[v]
        if u == v:
            yield _path("round", f"M{a.right - 34:.1f},{y - BOX / 2:.1f} c-4,-16 22,-16 18,-1")
        elif a is not b:
            points = [(a.right, y)]
            for lane, at in zip(columns[placed.column[u] + 1 :], placed.lanes[u, v], strict=False):
                points += [(lane.left - lane.side, at), (lane.end, at)]
            yield _path("edge", _curve([*points, (b.left - 1, to)]))
        else:
            yield _path("round", _arc(a, y, to, place[v] - place[u]))


def _curve(points: list[tuple[float, float]]) -> str:
    """Level at each point, so that it passes boxes in its lane."""
    (x, y), *rest = points
    path = f"M{x:.1f},{y:.1f}"
    for to_x, to_y in rest:
        bend = (to_x - x) / 2
        path += f" C{x + bend:.1f},{y:.1f} {to_x - bend:.1f},{to_y:.1f} {to_x:.1f},{to_y:.1f}"
        x, y = to_x, to_y
    return path


def _arc(column: _Column, y: float, to: float, places: int) -> str:
    """Within a cycle: down on the right, up on the left, straight to the next box."""
    down = places > 0
    half = BOX / 2 if down else -BOX / 2
    if abs(places) == 1:
        x = (column.left + column.right) / 2 + (10 if down else -10)
        return f"M{x:.1f},{y + half:.1f} L{x:.1f},{to - half:.1f}"
    reach = _reach(abs(places))
    x, swing = (column.right, reach) if down else (column.left, -reach)
    return (
        f"M{x:.1f},{y + half / 2:.1f} C{x + swing:.1f},{y + half / 2:.1f} "
        f"{x + swing:.1f},{to - half / 2:.1f} {x:.1f},{to - half / 2:.1f}"
    )


def _reach(places: int) -> float:
    return min(20.0 + 8 * places, ARC)


def _boxes(near: Neighbourhood, placed: Layers, columns: list[_Column]) -> Iterator[str]:
    namespaces = sorted({namespace_of(key) for key in near.graph})
    for key, told in near.graph.nodes.items():
        column, y = columns[placed.column[key]], placed.y[key]
        left, top = column.left, y - BOX / 2
        hue = namespaces.index(namespace_of(key)) % HUES
        name, colon, rest = shortened(key).partition(":")
        written = f'<tspan class="soft">{_label(name + colon)}</tspan>{_label(rest)}'
        yield f'<g class="{"centre" if key == near.key else "other"}"><title>{_xml(key)}</title>'
        yield _rect("box", left, top, column.width, BOX, 5)
        yield _rect(f"hue h{hue}", left + 4, top + 5, 3, BOX - 10, 1.5)
        yield _text("name", left + PAD + 2, y + 4, written)
        yield from _more(told["more_sources"], "source", left + 2, y + BOX / 2)
        yield from _more(told["more_dependents"], "dependent", column.right - 2, y + BOX / 2)
        yield "</g>"


def _more(number: int, what: str, x: float, y: float) -> Iterator[str]:
    """How many are not drawn, on the lower edge of a box."""
    if number:
        text = f"+{number:,}"
        width = 6 * len(text) + 6
        yield f'<g class="more"><title>{_many(number, f"more direct {what}")}, not drawn</title>'
        yield _rect("pill", x - width / 2, y - 6, width, 12, 6)
        yield f"{_text('number', x, y + 3.3, text)}</g>"


def shortened(key: str, most: int = SHOWN) -> str:
    """A key in at most so many letters: its beginning, and more of its end, which tells most."""
    if _letters(key) <= most:
        return key
    head, tail = "", ""
    for letter in key:
        if _letters(head + letter) > most // 3:
            break
        head += letter
    for letter in reversed(key):
        if _letters(letter + tail) > most - most // 3 - 1:
            break
        tail = letter + tail
    return f"{head}…{tail}"


def _letters(text: str) -> int:
    """Columns of a terminal, which is close to what a monospaced font takes."""
    return sum(2 if east_asian_width(letter) in "WF" else 1 for letter in text)


def _width(text: str) -> float:
    return LETTER * _letters(text)


def _many(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def _path(kind: str, path: str) -> str:
    return f'<path class="{kind}" marker-end="url(#ck-{kind})" d="{path}"/>'


def _tip(kind: str) -> str:
    return (
        f'<marker id="ck-{kind}" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" '
        f'markerHeight="8" markerUnits="userSpaceOnUse" orient="auto">'
        f'<path class="{kind}-tip" d="M0,1 L10,5 L0,9 z"/></marker>'
    )


def _rect(kind: str, x: float, y: float, width: float, height: float, round_: float) -> str:
    return (
        f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" '
        f'height="{height:.1f}" rx="{round_}"/>'
    )


def _text(kind: str, x: float, y: float, written: str) -> str:
    """A line of text; ``written`` is XML."""
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}">{written}</text>'


def _label(text: str) -> str:
    """What is drawn of a text: what would turn the direction of writing is made visible."""
    return _xml(TURNS.sub("\N{REPLACEMENT CHARACTER}", text))


def _xml(text: str) -> str:
    return escape(NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text))
