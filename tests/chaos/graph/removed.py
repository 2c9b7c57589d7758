"""Rules of the graph taken out of the product, to see that the test misses them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final

from cachekeeper.core.graph.digraph import SnapshotGraph
from cachekeeper.core.graph.reach import Reach, reach
from cachekeeper.services import purge
from cachekeeper.services.snapshot import GraphSnapshot
from tests.chaos.removing import put, swap, without

VARIABLE: Final = "CHAOS_ABLATION"


def apply() -> None:
    """Take out what the environment names; usually nothing."""
    if name := os.environ.get(VARIABLE):
        REMOVALS[name]()


def _edges_of_fills() -> None:
    swap("fill", without("if #inputs > 0 or", "if false and"))


def _bridges() -> None:
    swap("fill", without("not bridge(graph, key, removed)", "false"))


def _ways() -> None:
    swap("fill", without("if not is_stored(graph, input, read[i]) then", "if false then"))


def _one_version() -> None:
    swap("fill", without("if not is_same then", "if false then"))


def _depth() -> None:
    def shallow(graph: SnapshotGraph, keys: Iterable[str], *_: int) -> Reach:
        return replace(reach(graph, keys, 1), beyond=())

    put(purge, "reach", shallow)


def _catching_up() -> None:
    put(GraphSnapshot, "_catch_up", lambda *_: True)


REMOVALS: Final[dict[str, Callable[[], None]]] = {
    "edges of fills": _edges_of_fills,
    "bridges": _bridges,
    "ways": _ways,
    "one version of a key": _one_version,
    "depth": _depth,
    "catching up": _catching_up,
}
