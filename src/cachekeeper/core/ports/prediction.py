"""What a device is likely to read soon."""

from __future__ import annotations

from typing import NamedTuple, Protocol


class Prediction(NamedTuple):
    """A file that a device may read soon, and why it is thought so; all but the path in 0..1."""

    path: str
    probability: float  # calibrated: of those predicted at 0.75 about three in four are read
    pattern: float
    time: float
    relationship: float
    relation: str  # the class of the relation; '' for none


class Predictor(Protocol):
    """Learns from accesses what follows what."""

    def observe(
        self, device: str, path: str, at: float, *, threshold: float, limit: int
    ) -> list[Prediction]:
        """Learn that a device read a file, in one round trip; what it is likely to read soon.

        At most ``limit`` of at least ``threshold``, the likeliest first.
        """

    def explain(self, device: str, path: str) -> list[tuple[str, Prediction]]:
        """For the files that a device read last, newest first: what each says of a path."""
