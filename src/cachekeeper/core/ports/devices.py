"""What devices hold, are told and report, and where their files come from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import BinaryIO, Protocol

from cachekeeper.core.device import (
    Access,
    Content,
    DeviceState,
    Held,
    Leaving,
    Ledger,
    Limits,
    Named,
    Offer,
    PinAttempt,
    Place,
    Room,
    Wish,
)
from cachekeeper.core.following import Changes, Listed, Position, Row


class Devices(Protocol):
    """Ledgers and manifests of devices."""

    def ids(self) -> list[str]:
        """Every device that ever asked for room."""

    def access(self, device: str, path: str, now: float, policy: str) -> Access:
        """Look a path up and count the access."""

    def lost(self, device: str) -> None:
        """What was counted as a hit was none: its file is not on this host."""

    def note(self, device: str, counter: str, state: str, path: str, now: float) -> None:
        """Count something, and keep it among the events."""

    def reserve(self, device: str, wish: Wish, limits: Limits, place: Place, release: str) -> Room:
        """Reserve bytes, after releasing what was deleted to make room."""

    def renew(self, device: str, path: str, token: str, deadline: float) -> bool:
        """Keep a reservation; False when it is gone."""

    def commit(
        self,
        device: str,
        path: str,
        token: str,
        held: Held,
        place: Place,
        limits: Limits,
        deadline: float,
    ) -> str | None:
        """Turn a reservation into an entry.

        Returns the copy that it replaces, '' for none: it leaves under the same token. None when
        the reservation is gone. Raises Overtaken: nobody asked for it, and it is stale by now.
        """

    def abandon(self, device: str, path: str, token: str, deadline: float) -> bool:
        """End a reservation; delete its file, then release the token."""

    def evict(
        self,
        device: str,
        wanted: int,
        token: str,
        deadline: float,
        limits: Limits,
        release: str = ...,
    ) -> Leaving:
        """Take entries that are worth least out, some at a time; first release what has gone."""

    def expire(
        self, device: str, token: str, deadline: float, now: float, policy: str
    ) -> tuple[bool, Leaving]:
        """Take entries out whose lifetime has passed, some at a time; whether there may be more."""

    def remove(
        self, device: str, path: str, copy: str, token: str, deadline: float, policy: str
    ) -> bool:
        """Take one copy out; delete its file, then release the token."""

    def release(self, device: str, token: str) -> bool:
        """What was leaving is gone from the disk."""

    def adopt(self, device: str, policy: str, now: float) -> int:
        """Rank by a policy what was ranked by another; returns how many entries."""

    def entry(self, device: str, path: str) -> Held | None:
        """One entry."""

    def manifest(self, device: str) -> dict[str, Held]:
        """Every entry by path."""

    def named(self, device: str) -> Named:
        """All copies that should be on the disk, at one moment."""

    def overdue(self, device: str, now: float) -> tuple[list[tuple[str, str]], list[Leaving]]:
        """Of holders that must be dead: (path, token) of reservations, and what was leaving."""

    def pinned_beside(self, device: str, path: str) -> int:
        """Bytes of all pins but that of a path."""

    def ledger(self, device: str) -> Ledger:
        """Bytes used and reserved, and the counters."""

    def events(self, device: str, limit: int) -> list[str]:
        """The last events, newest first: ``time state path``."""


class PinLedger(Protocol):
    """What devices keep whatever happens."""

    def pin(self, device: str, path: str, quota: int) -> PinAttempt:
        """Pin a path; within the quota, if it is held."""

    def unpin(self, device: str, path: str, policy: str, now: float, *, absent: bool) -> bool:
        """Let a path be evicted again; with ``absent``, only if it is not held."""

    def pins(self, device: str) -> dict[str, int]:
        """Bytes by path."""


class Following(Protocol):
    """Manifests as devices follow them."""

    def listed(self, device: str, scan: int, count: int) -> Listed:
        """A page of all entries."""

    def changes(self, device: str, since: Position, count: int) -> Changes | None:
        """What changed since a position; None when all has to be listed."""

    def row(self, device: str, path: str) -> Row | None:
        """One entry."""


class Tokens(Protocol):
    """What devices are known by: hashes of their tokens."""

    def give(self, device: str, token_hash: str, now: float, *, renew: bool) -> bool:
        """Note the token of a device; false if it has one and is not to be renewed."""

    def of(self, device: str) -> str | None:
        """The hash of a device's token."""

    def take(self, device: str) -> bool:
        """Forget a device's token, and what was kept for whoever used it."""


class Reports(Protocol):
    """What devices report."""

    def record(
        self,
        device: str,
        report: str,
        paths: Sequence[str],
        said: DeviceState | None,
        now: float,
        policy: str,
    ) -> list[Access] | None:
        """Count accesses, and note the state, once for a report's id; None when it was before."""

    def state(self, device: str) -> DeviceState | None:
        """What a device last said of itself."""


class Files(Protocol):
    """The files of devices on this host."""

    def link(self, device: str, copy: str, digest: str) -> bool:
        """Give a device a copy of a blob; False when there is no such blob."""

    def open(self, device: str, copy: str) -> BinaryIO | None:
        """A device's copy, to be read; None when it is not here."""

    def delete(self, device: str, copies: Iterable[str]) -> None:
        """Take copies away; those that are gone already don't matter."""

    def sizes(self, device: str) -> dict[str, int]:
        """Every copy in a device's folder with its bytes, asked of the file system."""


class Source(Protocol):
    """Where the files of devices come from: the tiers, else the origin."""

    def offer(self, path: str) -> Offer:
        """What there is. Raises OriginMissing, OriginUnavailable."""

    def fetch(self, path: str, offer: Offer, alive: Callable[[], None]) -> Content:
        """Have it among the blobs of this host, verified; ``alive`` is called now and then.

        Raises OriginMissing, OriginUnavailable, Busy, DiskFull.
        """

    def open(self, path: str, offer: Offer) -> BinaryIO:
        """The content, kept nowhere: a file that can be sought in.

        Raises OriginMissing, OriginUnavailable.
        """
