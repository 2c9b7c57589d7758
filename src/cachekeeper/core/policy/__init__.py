"""Eviction policies: which entries of a cache are worth their place. One file each.

``make`` gives one by name; ``port.Policy`` says what all of them do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from cachekeeper.core.policy.gdga import GDGA
from cachekeeper.core.policy.gdsf import GDSF
from cachekeeper.core.policy.lfu import LFU
from cachekeeper.core.policy.lru import LRU
from cachekeeper.core.policy.port import Policy
from cachekeeper.core.policy.retention import Retention
from cachekeeper.core.policy.s3fifo import S3FIFO
from cachekeeper.core.policy.wtinylfu import WTinyLFU
from cachekeeper.errors import InvalidInput

POLICIES: Final[dict[str, Callable[[int], Policy]]] = {
    "gdga": GDGA,
    "gdsf": GDSF,
    "s3fifo": S3FIFO,
    "wtinylfu": WTinyLFU,
    "lru": LRU,
    "lfu": LFU,
    "retention": Retention,
}
DEFAULT: Final = "gdga"


def make(name: str, capacity: int) -> Policy:
    """A policy that holds nothing yet; the capacity is in bytes. Raises InvalidInput."""
    if name not in POLICIES:
        raise InvalidInput("policy", name, ", ".join(POLICIES))
    return POLICIES[name](capacity)
