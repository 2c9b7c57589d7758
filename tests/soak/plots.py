"""Figures over time as a picture: SVG that stands alone, in light and dark."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final
from xml.sax.saxutils import escape

from cachekeeper.core.policy.chart import HUES, STYLE

#: Pixels.
WIDTH: Final = 860.0
HEIGHT: Final = 260.0
LEFT: Final = 70.0
ABOVE: Final = 40.0
BELOW: Final = 40.0
LEGEND: Final = 20.0  # a row of it
A_ROW: Final = 4
STEPS: Final = 4

Points = Sequence[tuple[float, float]]


def plot(title: str, unit: str, series: Mapping[str, Points], events: Sequence[float] = ()) -> str:
    """Lines over minutes; ``events`` are vertical strokes."""
    drawn = {name: points for name, points in series.items() if points}
    last = max([1e-9, *(at for points in drawn.values() for at, _ in points), *events])
    most = _round_up(max([1e-9, *(value for points in drawn.values() for _, value in points)]))
    rows = math.ceil(len(drawn) / A_ROW)
    high, wide = ABOVE + HEIGHT + BELOW + LEGEND * rows, LEFT + WIDTH + 20
    size = f'width="{wide:.0f}" height="{high:.0f}" viewBox="0 0 {wide:.0f} {high:.0f}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="ck" role="img" {size}>',
        f"<title>{escape(title)}</title><style>{STYLE}</style>",
        '<rect class="ground" width="100%" height="100%"/>',
        _text("key", LEFT, 22, f"{title} ({unit})"),
    ]
    for step in range(STEPS + 1):
        y = ABOVE + HEIGHT * (1 - step / STEPS)
        lines.append(f'<path class="grid" d="M{LEFT:.0f},{y:.1f} h{WIDTH:.0f}"/>')
        lines.append(_text("soft right", LEFT - 6, y + 4, f"{most * step / STEPS:g}"))
        x = LEFT + WIDTH * step / STEPS
        lines.append(_text("soft mid", x, ABOVE + HEIGHT + 18, f"{last * step / STEPS:.1f} min"))
    for at in events:
        x = LEFT + WIDTH * at / last
        lines.append(f'<path class="grid" d="M{x:.1f},{ABOVE:.0f} v{HEIGHT:.0f}"/>')
    for number, (name, points) in enumerate(drawn.items()):
        hue = f"h{number % HUES}"
        path = " L".join(
            f"{LEFT + WIDTH * at / last:.1f},{ABOVE + HEIGHT * (1 - value / most):.1f}"
            for at, value in points
        )
        lines.append(f'<path class="line {hue}" d="M{path}"><title>{escape(name)}</title></path>')
        x = LEFT + (number % A_ROW) * WIDTH / A_ROW
        y = ABOVE + HEIGHT + BELOW + LEGEND * (number // A_ROW)
        lines.append(f'<path class="line {hue}" d="M{x:.0f},{y:.0f} h18"/>')
        lines.append(_text("soft", x + 24, y + 4, name))
    return "\n".join([*lines, "</svg>"])


def _round_up(value: float) -> float:
    """The next of 1, 2, 4, 5 or 10 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 4, 5, 10) if step * power >= value)


def _text(kind: str, x: float, y: float, text: str) -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'
