"""What a device holds: one entry of its manifest, its ledger, the outcome of an access."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

DEMAND: Final = "demand"
PREFETCH: Final = "prefetch"


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
    """Bytes that count against a quota, and the counters of a device."""

    used: int
    reserved: int
    items: int
    counters: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Access:
    """What an access found, and the path that the device had read before."""

    held: Held | None  # None: missing, expired or stale
    before: str
