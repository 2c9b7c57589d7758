"""What a tier holds under a key, looked at without a change."""

from __future__ import annotations

from dataclasses import dataclass

from cachekeeper.core.stamps import Stamp


@dataclass(frozen=True, slots=True)
class Looked:
    """An entry, fresh or not; size in bytes, times in seconds since 1970."""

    size: int
    stamp: Stamp
    filled: float
    expires: float
    stale: str = ""  # why it is not served, in words; '' when it is
