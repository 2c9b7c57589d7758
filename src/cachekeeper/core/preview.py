"""What an invalidation would do, told beforehand."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from cachekeeper.core.strategy import Consistency, Strategy


@dataclass(frozen=True, slots=True)
class Step:
    """A key that would be affected, and the key by which it is reached: '' when it is named."""

    key: str
    reached_by: str


@dataclass(frozen=True, slots=True)
class Weight:
    """How many entries a tier holds, and their bytes."""

    entries: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Members:
    """How many keys of a namespace are stored, among those that were looked at."""

    namespace: str
    found: int
    looked_at: int
    complete: bool  # all that are stored were looked at


@dataclass(frozen=True, slots=True)
class Preview:
    """What an invalidation would do at this moment."""

    names: list[str]  # what is asked for, at most 100
    strategy: Strategy
    consistency: Consistency
    cascade: bool
    steps: list[Step]  # in the order of removal, as many as were to be shown
    keys: int  # that would be stale in all, of those that the graph knows
    depth: int  # edges that the farthest of them is away
    held: dict[str, Weight]  # by tier, of the first ``weighed`` keys
    weighed: int
    members: list[Members]  # of the namespaces that are asked for
    nodes: list[str]  # the processes whose memory would be asked
    limits: list[str]  # every limit that would be met, and what can't be told, in words

    def to_json(self) -> str:
        """As JSON."""
        return json.dumps(asdict(self))
