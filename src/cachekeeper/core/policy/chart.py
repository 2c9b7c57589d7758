"""Hit ratios by quota as a picture: SVG that stands alone, in light and dark.

A row a trace, and a panel each for requests, bytes and cost. Quotas stand at equal distances,
smallest first, whatever lies between them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from xml.sax.saxutils import escape

from cachekeeper.core.policy.simulation import Misses

#: Pixels.
WIDTH: Final = 300.0  # of a panel
HEIGHT: Final = 200.0
LEFT: Final = 48.0  # beside a panel, for its scale
ABOVE: Final = 54.0
BELOW: Final = 34.0
MARGIN: Final = 20.0
LEGEND: Final = 110.0  # an entry of the legend

PANELS: Final = (("omr", "requests"), ("bmr", "bytes"), ("cmr", "cost"))
STEPS: Final = 5  # lines of the scale, from 0 to 100 %
HUES: Final = 8

STYLE: Final = """
.ck { font: 12px system-ui, sans-serif }
.ck text { fill: #1f2328 }
.ck .ground { fill: #ffffff }
.ck .key { font-size: 14px; font-weight: 600 }
.ck .soft { fill: #59636e; font-size: 11px }
.ck .grid { stroke: #d1d9e0 }
.ck .line { fill: none; stroke-width: 2 }
.ck .right { text-anchor: end }
.ck .mid { text-anchor: middle }
.ck .h0 { stroke: #0969da; fill: #0969da }
.ck .h1 { stroke: #bc4c00; fill: #bc4c00 }
.ck .h2 { stroke: #1a7f37; fill: #1a7f37 }
.ck .h3 { stroke: #8250df; fill: #8250df }
.ck .h4 { stroke: #6e7781; fill: #6e7781 }
.ck .h5 { stroke: #bf3989; fill: #bf3989 }
.ck .h6 { stroke: #9a6700; fill: #9a6700 }
.ck .h7 { stroke: #1b7c83; fill: #1b7c83 }
.ck path.line { fill: none }
@media (prefers-color-scheme: dark) {
.ck text { fill: #e6edf3 }
.ck .ground { fill: #0d1117 }
.ck .soft { fill: #9198a1 }
.ck .grid { stroke: #30363d }
}
"""


@dataclass(frozen=True, slots=True)
class Row:
    """What was found for one trace: by policy, the misses at each quota, in their order."""

    name: str
    quotas: Sequence[str]
    found: Mapping[str, Sequence[Misses]]


def chart(rows: Sequence[Row]) -> str:
    """An SVG document; each point has its figure as its tooltip."""
    policies = list(dict.fromkeys(policy for row in rows for policy in row.found))
    hues = {policy: i % HUES for i, policy in enumerate(policies)}
    top = 2 * MARGIN + 16
    high = ABOVE + HEIGHT + BELOW
    panels = len(PANELS) * (LEFT + WIDTH)
    width = 2 * MARGIN + max(panels, len(policies) * LEGEND)
    height = top + high * len(rows) + MARGIN
    size = f'width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="ck" role="img" {size}>',
        "<title>Hit ratio by quota and policy</title>",
        f"<style>{STYLE}</style>",
        '<rect class="ground" width="100%" height="100%"/>',
    ]
    for i, policy in enumerate(policies):
        x = MARGIN + LEFT + i * LEGEND
        lines.append(f'<path class="line h{hues[policy]}" d="M{x:.0f},{MARGIN + 8:.0f} h18"/>')
        lines.append(_text("name", x + 24, MARGIN + 12, policy))
    for i, row in enumerate(rows):
        y = top + i * high
        lines.append(_text("key", MARGIN, y + 14, row.name))
        for j, (measure, what) in enumerate(PANELS):
            x = MARGIN + LEFT + j * (LEFT + WIDTH)
            lines.extend(_panel(row, measure, what, hues, x, y + ABOVE))
    return "\n".join([*lines, "</svg>"])


def _panel(
    row: Row, measure: str, what: str, hues: dict[str, int], left: float, top: float
) -> Iterator[str]:
    yield _text("soft", left, top - 12, f"{what} served from the cache")
    for step in range(STEPS):
        share = step / (STEPS - 1)
        y = top + HEIGHT * (1 - share)
        yield f'<path class="grid" d="M{left:.0f},{y:.1f} h{WIDTH:.0f}"/>'
        yield _text("soft right", left - 6, y + 4, f"{share:.0%}")
    places = [left + WIDTH * (i + 0.5) / len(row.quotas) for i in range(len(row.quotas))]
    for x, quota in zip(places, row.quotas, strict=True):
        yield _text("soft mid", x, top + HEIGHT + 18, quota)
    for policy, found in row.found.items():
        hits = [1 - getattr(misses, measure) for misses in found]
        points = [(x, top + HEIGHT * (1 - hit)) for x, hit in zip(places, hits, strict=True)]
        path = " L".join(f"{x:.1f},{y:.1f}" for x, y in points)
        yield f'<path class="line h{hues[policy]}" d="M{path}"/>'
        for (x, y), quota, hit in zip(points, row.quotas, hits, strict=True):
            told = f"<title>{_xml(policy)}, {_xml(quota)}: {hit:.1%}</title>"
            yield f'<circle class="h{hues[policy]}" cx="{x:.1f}" cy="{y:.1f}" r="3">{told}</circle>'


def _text(kind: str, x: float, y: float, text: str) -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}">{_xml(text)}</text>'


def _xml(text: str) -> str:
    """Escaped, without the characters that XML has no way to write."""
    return escape("".join(letter if letter.isprintable() else "\ufffd" for letter in text))
