"""How much waits somewhere, and for how long."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits in one place.

    Attributes:
        count: how much waits.
        since: when the oldest of it was sent, seconds since 1970; None if that is not known, or
            if nothing waits.
    """

    count: int
    since: float | None = None

    def age_s(self, now: float) -> float | None:
        """How old the oldest is, in seconds; None if that is not known."""
        return None if self.since is None else max(0.0, now - self.since)
