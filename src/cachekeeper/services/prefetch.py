"""Fetching a file that a device is likely to read next."""

from __future__ import annotations

from typing import Final, NamedTuple

from cachekeeper.core.device import PREFETCH
from cachekeeper.core.keys import check_device, check_path
from cachekeeper.core.ports.devices import Reports
from cachekeeper.core.ports.prefetching import Prefetches
from cachekeeper.core.ports.tiers import Clock
from cachekeeper.core.prefetching import (
    BUSY,
    DISK_FULL,
    FAILED,
    INVALIDATED,
    MISSING,
    NO_ROOM,
    OLD,
    ORIGIN_AWAY,
    PASSING,
    SPARED,
    Ticket,
    check_chance,
    check_time,
)
from cachekeeper.core.retention import Priority
from cachekeeper.errors import (
    Busy,
    CacheUnavailable,
    DiskFull,
    OriginMissing,
    OriginUnavailable,
    Overtaken,
    QuotaExceeded,
)
from cachekeeper.services.device import DeviceCaches

LEASE_S: Final = 30.0  # of a claim and its places, from the last renewal
RENEW_S: Final = 1.0
PAUSE_S: Final = 15.0  # at least as long as the longest pause before another attempt


class Fetched(NamedTuple):
    """What became of a prediction: its bytes, or why it was not fetched."""

    bytes: int = 0
    why: str = ""  # see core.prefetching; '' when it was fetched
    again: bool = False  # it keeps its claim for another attempt


class Prefetcher:
    """Fetches what was planned."""

    def __init__(
        self,
        *,
        prefetches: Prefetches,
        reports: Reports,
        caches: DeviceCaches,
        per_device: int,
        per_origin: int,
        now: Clock,
    ) -> None:
        self._prefetches, self._reports, self._caches = prefetches, reports, caches
        self._per_device, self._per_origin, self._now = per_device, per_origin, now

    def fetch(self, ticket: Ticket, probability: float, until: float) -> Fetched:
        """Fetch a file, unless it is of no use any more; says what became of it.

        It is cut off when the file is invalidated meanwhile, and never stored stale.

        Raises:
            InvalidInput: the device id, the path or a number is malformed.
        """
        check_device(ticket.device)
        check_path(ticket.path)
        check_chance(probability, "probability")
        check_time(until, "until")
        if self._now() >= until:
            return self._ended(ticket, until, OLD)
        state = self._reports.state(ticket.device)
        if state and state.spares:
            return self._ended(ticket, until, SPARED)
        why = self._prefetches.begin(
            ticket, per_device=self._per_device, per_origin=self._per_origin, lease_s=LEASE_S
        )
        if why:
            return self._ended(ticket, until, why)
        size = 0
        try:
            size = self._fetch(ticket, probability)
        except CacheUnavailable:  # the claim and the places end by themselves
            raise
        except BaseException as error:
            why = reason_of(error)
            if why == FAILED:
                self._prefetches.end(ticket, why)
                raise
        return self._ended(ticket, until, why, size)

    def _fetch(self, ticket: Ticket, probability: float) -> int:
        renewed = self._now()

        def alive() -> None:
            nonlocal renewed
            now = self._now()
            if now - renewed >= RENEW_S:
                renewed = now
                if self._prefetches.keep(ticket, LEASE_S):
                    raise Overtaken(f"{ticket.path}: it was invalidated while it was fetched")

        return self._caches.fetch(
            ticket.device,
            ticket.path,
            # It lives as long as what is of little importance, and is worth what it would be
            # worth if it had been read, as likely as that is.
            Priority.LOW,
            PREFETCH,
            chance=probability * Priority.MEDIUM.weight / Priority.LOW.weight,
            alive=alive,
        )

    def _ended(self, ticket: Ticket, until: float, why: str, size: int = 0) -> Fetched:
        again = why in PASSING and self._now() < until
        self._prefetches.end(ticket, why, again_s=PAUSE_S if again else 0.0)
        return Fetched(size, why, again)

    def give_up(self, ticket: Ticket, why: str) -> None:
        """It was tried often enough: count why, and let others claim it."""
        self._prefetches.end(ticket, why)


def reason_of(error: BaseException) -> str:
    """Why something could not be fetched, as it is counted."""
    return next((why for kind, why in _REASONS if isinstance(error, kind)), FAILED)


_REASONS: Final[tuple[tuple[type[BaseException], str], ...]] = (
    (Overtaken, INVALIDATED),
    (Busy, BUSY),
    (QuotaExceeded, NO_ROOM),
    (DiskFull, DISK_FULL),
    (OriginMissing, MISSING),
    (OriginUnavailable, ORIGIN_AWAY),
)
