"""By which edges keys are reached from others."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence

from cachekeeper.core.graph.neighbourhood import Graph, between


def reached_by(graph: Graph, keys: Sequence[str], seeds: Iterable[str]) -> dict[str, str]:
    """For each key the one before it on a shortest way from the seeds; '' for a seed.

    Only ways through ``keys`` count: of one that no such way leads to, nothing is told.
    """
    part = between(graph, [key for key in keys if key in graph])
    before = {seed: "" for seed in seeds if seed in set(keys)}
    waiting = deque(key for key in before if key in part)
    while waiting:
        key = waiting.popleft()
        for dependent in part.successors(key):
            if dependent not in before:
                before[dependent] = key
                waiting.append(dependent)
    return before
