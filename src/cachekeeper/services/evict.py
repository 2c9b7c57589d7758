"""The eviction sweep: every device back below its water mark, the disk back in order."""

from __future__ import annotations

from collections.abc import Callable

from cachekeeper.core.ports.devices import Devices, Files
from cachekeeper.core.ports.tiers import Clock
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
        files: Files,
        caches: DeviceCaches,
        collect: Collect,
        now: Clock,
    ) -> None:
        self._devices, self._files, self._caches = devices, files, caches
        self._collect, self._now = collect, now

    def run(self) -> dict[str, int]:
        """One sweep over all devices; returns what it did. Safe to run twice at once."""
        evicted = settled = repaired = 0
        for device in self._devices.ids():
            limits = self._caches.limits(device)
            settled += self._caches.settle(device)
            repaired += self._repair(device)
            self._devices.adopt(device, limits.policy, self._now())
            ledger = self._devices.ledger(device)
            # Of the room that pins leave, or what is not pinned would go in vain at each sweep.
            used, room = ledger.used - ledger.pinned, limits.quota - ledger.pinned
            if used > HIGH_WATER * room:
                evicted += len(self._caches.evict(device, int(used - LOW_WATER * room)))
        blobs, freed = self._collect(BLOB_AGE_S)
        return {
            "evicted": evicted,
            "reservations_settled": settled,
            "copies_repaired": repaired,
            "blobs_collected": blobs,
            "bytes_freed": freed,
        }

    def _repair(self, device: str) -> int:
        """Make folder and manifest name the same copies; returns how many did not.

        A copy that nothing names is of a process that was stopped for longer than its reservation
        lasted. An entry without its file is of a folder that somebody has changed.
        """
        there = self._files.sizes(device)
        ledger = self._devices.ledger(device)
        if sum(there.values()) == ledger.used and not ledger.reserved:
            return 0  # nothing to look for in a manifest that may be long
        named = self._devices.named(device)
        known = named.on_their_way.union(named.entries.values())
        strays = [copy for copy in there if copy not in known]
        self._files.delete(device, strays)
        missing = [(path, copy) for path, copy in named.entries.items() if copy not in there]
        return len(strays) + sum(self._caches.forget(device, *each) for each in missing)
