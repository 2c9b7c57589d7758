"""A reader process with one tier that ignores invalidations: what the demo has to notice.

``python -m tests.demo.broken_reader memory|redis|disk|none``, spoken to as ``demo.reader`` is.
The product has no switch for this: the tier is replaced from outside.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from unittest.mock import patch

from cachekeeper.core.stamps import Found
from cachekeeper.store.disk import DiskTier
from cachekeeper.store.memory import MemoryTier
from cachekeeper.store.redis.values import Records, RedisTier, _unpacked
from demo.reader import main


def applied_only(memory: MemoryTier, epoch: int, sources: Iterable[str]) -> int:
    """Instead of ``MemoryTier.apply``: drops nothing, and says that it did what it was told."""
    del sources
    memory.applied = memory.applied._replace(epoch=max(memory.applied.epoch, epoch))
    return 0


def unchecked(records: Records, key: str) -> Found | None:
    """Instead of ``Records.read``: the record as it is, whatever was invalidated since."""
    connection = records._c
    record = connection.redis.get(records._name(key))
    if record is None:
        return None
    return _unpacked(connection.redis.hget(connection.layout.clock, "epoch"), record)


def unchecked_blob(disk: DiskTier, key: str) -> Found | None:
    """Instead of ``DiskTier.read``: the blob that is bound, whatever was invalidated since."""
    bound = unchecked(disk._bindings, key)
    if bound is None:
        return None
    body = disk._blobs.get(bound.entry.body.hex())
    return None if body is None else bound._replace(entry=bound.entry._replace(body=body))


BROKEN: dict[str, tuple[type, str, Callable[..., object]]] = {
    "memory": (MemoryTier, "apply", applied_only),
    "redis": (RedisTier, "read", unchecked),
    "disk": (DiskTier, "read", unchecked_blob),
}

if __name__ == "__main__":
    kind, method, instead = BROKEN[sys.argv[1]]
    with patch.object(kind, method, instead):
        main()
