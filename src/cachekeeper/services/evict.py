"""The eviction sweep: every device back below its water mark, the disk back in order."""

from __future__ import annotations

from collections.abc import Callable

from cachekeeper.core.ports import Clock, Devices
from cachekeeper.services.device import DeviceCaches

HIGH_WATER = 0.95  # of the quota: where a sweep starts evicting
LOW_WATER = 0.90  # and where it stops
BLOB_AGE_S = 120.0  # a younger blob may be about to be named

Collect = Callable[[float], tuple[int, int]]


class EvictionSweep:
    """Evicts on devices, settles what crashed, collects blobs that nothing names."""

    def __init__(
        self,
        *,
        devices: Devices,
        caches: DeviceCaches,
        quota: int,
        collect: Collect,
        now: Clock,
    ) -> None:
        self._devices, self._caches = devices, caches
        self._quota, self._collect, self._now = quota, collect, now

    def run(self) -> dict[str, int]:
        """One sweep over all devices; returns what it did. Safe to run twice at once."""
        evicted = settled = 0
        for device in self._devices.ids():
            for path, token in self._devices.overdue(device, self._now()):
                self._caches.settle(device, path, token)
                settled += 1
            ledger = self._devices.ledger(device)
            # Of the room that pins leave, or what is not pinned would go in vain at each sweep.
            used, room = ledger.used - ledger.pinned, self._quota - ledger.pinned
            if used > HIGH_WATER * room:
                evicted += len(self._caches.evict(device, int(used - LOW_WATER * room)))
        blobs, freed = self._collect(BLOB_AGE_S)
        return {
            "evicted": evicted,
            "reservations_settled": settled,
            "blobs_collected": blobs,
            "bytes_freed": freed,
        }
