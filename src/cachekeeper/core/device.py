"""What a device holds: one entry of its manifest, its ledger, the outcome of an access."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

DEMAND: Final = "demand"
PREFETCH: Final = "prefetch"
LOW_BATTERY: Final = 20  # percent; below it a device that is not charging is spared


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
    by: str  # DEMAND or PREFETCH


@dataclass(frozen=True, slots=True)
class Ledger:
    """Bytes that count against a quota, and the counters of a device.

    ``pinned`` are those of ``used`` that no eviction takes.
    """

    used: int
    reserved: int
    items: int
    counters: dict[str, int] = field(default_factory=dict)
    pinned: int = 0


@dataclass(frozen=True, slots=True)
class Access:
    """What an access found, and the path that the device had read before."""

    held: Held | None  # None: missing, expired or stale
    before: str


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
    """Whether a file was pinned; its bytes, and if it was not, those of all other pins."""

    done: bool
    size: int
    others: int
