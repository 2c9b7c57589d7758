"""What a device holds: one entry of its manifest, its ledger, the outcome of an access."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, NamedTuple

from cachekeeper.core.stamps import Entry, Stamp

DEMAND: Final = "demand"
PREFETCH: Final = "prefetch"
WARM: Final = "warm"
LOW_BATTERY: Final = 20  # percent; below it a device that is not charging is spared

#: What an access finds: a fresh copy, none, or one that is no longer good.
HIT: Final = "hit"
MISSING: Final = "missing"
EXPIRED: Final = "expired"
STALE: Final = "stale"


@dataclass(frozen=True, slots=True)
class Held:
    """A file that a device holds; sizes in bytes, times in seconds since 1970."""

    sha256: str
    size: int
    incarnation: int
    as_of: int
    sources: tuple[str, ...]
    priority: str
    filled: float
    expires: float
    by: str  # DEMAND, PREFETCH or WARM
    copy: str  # the name of its file in the device's folder, of no other copy ever


@dataclass(frozen=True, slots=True)
class Limits:
    """What a device may hold: its quota, what an eviction frees beyond the request, its policy."""

    quota: int
    headroom: int
    policy: str


@dataclass(frozen=True, slots=True)
class Ledger:
    """Bytes that count against a quota, and the counters of a device.

    ``pinned`` are those of ``used`` that no eviction takes.
    """

    used: int
    reserved: int  # on their way in or out
    items: int
    counters: dict[str, int] = field(default_factory=dict)
    quota: int | None = None  # as it was last enforced; None: it never was
    pinned: int = 0


class Access(NamedTuple):
    """What an access found."""

    state: str  # HIT, MISSING, EXPIRED or STALE
    held: Held | None  # whatever its state


@dataclass(frozen=True, slots=True)
class DeviceState:
    """What a device says of itself; the battery in percent, None without one."""

    metered: bool
    battery: int | None
    charging: bool

    @property
    def spares(self) -> bool:
        """Whether nothing is to be fetched for it that it has not asked for."""
        return self.metered or (
            self.battery is not None and self.battery < LOW_BATTERY and not self.charging
        )


@dataclass(frozen=True, slots=True)
class PinAttempt:
    """What became of a pin: a path that is not held is pinned as one that will be.

    ``size`` of what is held, ``others`` of all other pins, in bytes.
    """

    held: bool
    done: bool
    size: int = 0
    others: int = 0


class Content(NamedTuple):
    """A content among the blobs of this host, and what it was made from."""

    sha256: str
    size: int
    stamp: Stamp


class Offer(NamedTuple):
    """What there is under a path before it is fetched: at hand as a content or entry, or not."""

    size: int
    content: Content | None = None
    entry: Entry | None = None


class Wish(NamedTuple):
    """Room that is asked for on a device, for a path; times in seconds since 1970."""

    path: str
    size: int
    token: str
    by: str
    weight: float  # of its priority
    now: float
    deadline: float


class Place(NamedTuple):
    """What a file is worth to the policy of its device, to be handed back as it is."""

    worth: str = ""
    state: bytes = b""


class Room(NamedTuple):
    """The answer to a wish."""

    granted: bool
    place: Place
    refused: str = ""  # busy, oversize, room or worth; else there is room, or will be
    leaving: str = ""  # the token of what has to be deleted before it is asked again
    copies: tuple[str, ...] = ()


class Leaving(NamedTuple):
    """What was taken out of a manifest: its bytes count until it is deleted and released."""

    token: str
    bytes: int
    paths: tuple[str, ...]
    copies: tuple[str, ...]


class Named(NamedTuple):
    """The copies that a device's manifest and what is on its way in or out name, at one moment."""

    entries: dict[str, str]  # path -> copy
    on_their_way: frozenset[str]
