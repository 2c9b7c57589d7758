"""What a device is likely to read soon."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from cachekeeper.core.relations import Relation


class Prediction(NamedTuple):
    """A file that a device may read soon, and why it is thought so; all but the path in 0..1."""

    path: str
    probability: float  # calibrated: of those predicted at 0.75 about three in four are read
    pattern: float
    time: float
    relationship: float
    relation: str  # the class of the relation in words; '' for none


class Reason(NamedTuple):
    """What a file that a device read says of another one, and from how much evidence."""

    after: str
    at: float  # when the device read it
    prediction: Prediction
    reads: int  # of `after`, by all devices; aged
    followed: int  # of those, after how many the other was among the next four requests


class Predictor(Protocol):
    """Learns from accesses what follows what."""

    def observe(
        self,
        device: str,
        path: str,
        at: float,
        *,
        threshold: float,
        limit: int,
        related: Mapping[str, Relation] | None = None,
    ) -> list[Prediction]:
        """Learn that a device read a file, in one round trip; what it is likely to read soon.

        At most ``limit`` of at least ``threshold``, the likeliest first. Candidates are what was
        read after it, the next of its series if it was ever read, and ``related``: files that the
        caller knows of, with how they are related (``NONE``: by their names), the first 16.
        """

    def explain(self, device: str, path: str) -> list[Reason]:
        """For the files that a device read last, newest first: what each says of a path."""

    def forget(self, before: float) -> int:
        """Forget files that were last read before a time (to the day); returns how many."""
