"""What one device did, as far as it is on record: the evidence that is its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from cachekeeper.core.predict.visits import TOGETHER


class Own(NamedTuple):
    """How often a device read a file, and after how many of those another soon."""

    reads: int
    followed: int


def own_evidence(read: Sequence[str], after: str, path: str) -> Own:
    """Of what a device read, the oldest first: as the model counts it for all devices."""
    at = [number for number, each in enumerate(read) if each == after]
    soon = (read[number + 1 : number + 1 + TOGETHER] for number in at)
    return Own(len(at), sum(path in each for each in soon))
