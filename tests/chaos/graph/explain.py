"""Why bytes were left: the way that a version took into a value, beside the edges of the graph."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.chaos.graph.history import Made, lines


def values(folder: Path) -> dict[int, Made]:
    """Everything that was made, by the id of the value."""
    return {made.value: made for made in (Made(*line) for line in lines(folder, "made"))}


def explain(left: Mapping[str, Any], known: Mapping[int, Made]) -> list[str]:
    """What was left, and by which step the graph does not lead to it."""
    said = [
        (
            f"left: {left['key']} ({left['value']:x}) in {left['tier']}, as of {left['as_of']}, "
            f"filled {left['filled'] - left['marked']:+.4f} s from the mark of {left['epoch']}, "
            f"{'there before the call' if left['there_before'] else 'stored after the call'}, "
            f"{len(left['sources'])} sources {' '.join(left['sources'][:3])}; {left['limits']}"
        )
    ]
    for doc, version in left["versions"]:
        way = _way(left["value"], doc, version, known)
        for above, below in pairwise(way):
            edge = above.key in left["edges"].get(below.key, [])
            said.append(
                f"  {above.key} ({above.value:x}) -> {below.key} ({below.value:x}), made "
                f"{below.at - above.at:.4f} s later: {'edge' if edge else 'NO EDGE'}"
            )
    return said


def _way(value: int, doc: int, version: int, known: Mapping[int, Made]) -> list[Made]:
    """One way from an old version of a document to a value, the document's first."""
    made = known[value]
    if not any(of == doc and old < version for of, old in made.docs):
        return []
    for _, above in made.inputs:
        way = _way(above, doc, version, known)
        if way:
            return [*way, made]
    return [made]
