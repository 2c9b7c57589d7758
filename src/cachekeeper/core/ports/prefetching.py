"""Who fetches what a device may read soon: claims, places and how useful it was."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from cachekeeper.core.prefetching import Candidate, Ticket, Usefulness
from cachekeeper.core.stamps import Moment


class Prefetches(Protocol):
    """Exact across processes; what a dead one held ends by itself."""

    def plan(
        self,
        device: str,
        candidates: Sequence[Candidate],
        *,
        threshold: float,
        at_most: int,
        claim_s: float,
    ) -> tuple[Moment, list[str]]:
        """Claim what is to be fetched: the moment, and for each candidate '' or why not."""

    def begin(self, ticket: Ticket, *, per_device: int, per_origin: int, lease_s: float) -> str:
        """Take a place at the device and at the origin; '' or why not."""

    def keep(self, ticket: Ticket, lease_s: float) -> str:
        """Go on; '' or why not."""

    def end(self, ticket: Ticket, why: str = "", *, again_s: float = 0.0) -> None:
        """Give the places back; count why it was not fetched, unless it is tried again."""

    def dropped(self, device: str, why: str) -> None:
        """Count something that was not even planned."""

    def usefulness(self, device: str) -> Usefulness | None:
        """As of the last plan; None when there was none."""
