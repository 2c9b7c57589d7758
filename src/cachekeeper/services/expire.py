"""The expiry sweep and the lazy sweep: bytes that no read would return any more."""

from __future__ import annotations

from collections.abc import Sequence

from cachekeeper.core.graph.ports import GraphStore
from cachekeeper.core.ports import Clock, Devices, Expiry, Garbage, SharedTier
from cachekeeper.services.device import DeviceCaches

CHUNK = 500


class ExpirySweep:
    """Removes expired entries from every shared tier, the index, the graph and the devices."""

    def __init__(
        self,
        *,
        expiry: Expiry,
        tiers: Sequence[SharedTier],
        graph: GraphStore,
        devices: Devices,
        caches: DeviceCaches,
        now: Clock,
    ) -> None:
        self._expiry, self._tiers, self._graph = expiry, tiers, graph
        self._devices, self._caches, self._now = devices, caches, now

    def run(self) -> dict[str, int]:
        """One sweep; returns what it removed. Safe to run twice at once."""
        expired = pruned = 0
        while keys := self._expiry.due(self._now(), CHUNK):
            for tier in self._tiers:
                tier.remove(keys)
            self._expiry.forget(keys, self._now())
            pruned += len(self._graph.prune(keys))
            expired += len(keys)
        files = sum(len(self._caches.expire(device)) for device in self._devices.ids())
        return {"entries": expired, "nodes_pruned": pruned, "device_files": files}


class LazySweep:
    """Removes the bytes of what was invalidated lazily and not read since."""

    def __init__(self, garbage: Garbage, tiers: Sequence[SharedTier]) -> None:
        self._garbage, self._tiers = garbage, tiers

    def run(self) -> dict[str, int]:
        """One sweep; returns what it removed. A fresh refill is left alone."""
        removed = dict.fromkeys((tier.name for tier in self._tiers), 0)
        while keys := self._garbage.take(CHUNK):
            for tier in self._tiers:
                there = tier.present(keys)
                # A read removes an entry if, and only if, it is stale: just what is wanted here.
                stale = [key for key in there if tier.read(key) is None]
                removed[tier.name] += len(stale)
            self._garbage.done(keys)
        return removed
