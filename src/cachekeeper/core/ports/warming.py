"""Warm jobs, as any process sees them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from cachekeeper.core.warming import Place, Taken, WarmState, WarmStatus


class WarmJobs(Protocol):
    """Jobs, with what is still to be done and who does it."""

    def open(
        self, device: str, places: Sequence[Place], targets: Sequence[str], *, done: int = 0
    ) -> str:
        """Begin a job; its id. Raises PendingFull."""

    def take(self, job: str, *, count: int, at_once: int, lease_s: float) -> Taken:
        """Claim work that nobody does; what a dead process had claimed is among it."""

    def tell(
        self, job: str, token: str, path: str, size: int, why: str, lease_s: float, *, held: bool
    ) -> str:
        """One path is done, or failed; the job's state, '' when the claim has passed."""

    def listed(
        self,
        job: str,
        token: str,
        paths: Sequence[str],
        places: Sequence[Place],
        *,
        items: int,
        size: int,
        failed: str = "",
    ) -> None:
        """What was found at a place: paths, and places to go on from."""

    def give_back(self, job: str, token: str) -> None:
        """The rest of a claim is for somebody else."""

    def keep(self, job: str, token: str, lease_s: float) -> str:
        """Go on with a claim; the job's state, '' when the claim has passed."""

    def move(self, job: str, states: Sequence[WarmState], to: WarmState, reason: str = "") -> bool:
        """Change the state, if it is one of these."""

    def device(self, job: str) -> str | None:
        """The device that a job is for, '' for the site; None when it is unknown."""

    def status(self, job: str) -> WarmStatus | None:
        """How far it is; None when it is unknown."""

    def ids(self) -> list[str]:
        """Every job that is remembered, the newest first."""
