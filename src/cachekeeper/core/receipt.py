"""The receipt of an invalidation: what became of a request (SPEC 3.3); JSON in Redis by its id."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from operator import attrgetter
from typing import Any

from cachekeeper.core.request import Request
from cachekeeper.core.strategy import Consistency, Strategy

#: Names and affected keys that a receipt lists.
SHOWN = 100


class Status(StrEnum):
    """How far a request is."""

    PENDING = "pending"  # accepted; the old value may be served until it is dispatched
    DONE = "done"
    UNKNOWN = "unknown"  # marked, but strict could not be confirmed
    FAILED = "failed"


@dataclass(slots=True)
class Receipt:
    """What became of a request. Times in seconds since 1970."""

    id: str
    status: Status
    strategy: Strategy
    consistency: Consistency
    reason: str
    names: list[str]  # the keys, tags and namespaces that were asked for, at most 100
    submitted: float
    by: str = ""  # who asked
    epoch: int = 0
    affected: list[str] = field(default_factory=list)  # in the order of removal, at most 100
    affected_count: int = 0
    depth: int = 0
    limits: list[str] = field(default_factory=list)  # every limit that was met, in words
    nodes_asked: list[str] = field(default_factory=list)
    nodes_fenced: list[str] = field(default_factory=list)  # silent: granted no lease any more
    verified: list[str] = field(default_factory=list)  # tiers that serve nothing older now
    batch: int = 0  # requests that were dispatched together
    batch_removed: dict[str, int] = field(default_factory=dict)  # entries, by tier, for all of them
    purged: bool = False  # the bytes of all that is affected are gone, or the lazy sweep's
    merged_into: str = ""  # the request that waited for the same already, and stands for this one
    worker_pid: int = 0
    started: float = 0.0
    marked: float = 0.0
    finished: float = 0.0
    error: str = ""

    @property
    def ended(self) -> bool:
        """Whether nothing more will be done."""
        return self.status is not Status.PENDING

    def as_done_by(self, other: Receipt) -> Receipt:
        """What became of the request that stands for this one, in this one's name."""
        return replace(
            other,
            id=self.id,
            merged_into=other.id,
            submitted=self.submitted,
            reason=self.reason,
            by=self.by,
            names=self.names,
            limits=[*self.limits, *other.limits],
        )

    def to_json(self) -> str:
        """The receipt as JSON."""
        return json.dumps(dict(zip(_FIELDS, _values(self), strict=True)))

    @classmethod
    def from_json(cls, text: str | bytes) -> Receipt:
        """The opposite of ``to_json``; a field of a later version is left out."""
        told: dict[str, Any] = json.loads(text)
        data = {name: told[name] for name in _FIELDS if name in told}
        data["status"] = Status(data["status"])
        data["strategy"] = Strategy(data["strategy"])
        data["consistency"] = Consistency(data["consistency"])
        return cls(**data)


_FIELDS = [field.name for field in fields(Receipt)]
_values = attrgetter(*_FIELDS)


def pending_receipt(request: Request) -> Receipt:
    """The receipt of a request that was accepted just now."""
    names = [*request.keys, *request.tags, *request.namespaces][:SHOWN]
    return Receipt(
        request.id,
        Status.PENDING,
        request.strategy,
        request.consistency,
        request.reason,
        names,
        request.at,
        request.by,
    )


def failed_receipt(request: Request, reason: str, now: float) -> Receipt:
    """The receipt of a request that was given up."""
    receipt = pending_receipt(request)
    receipt.status, receipt.error, receipt.finished = Status.FAILED, reason, now
    return receipt
