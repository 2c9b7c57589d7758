"""The expiry sweep and the lazy sweep: bytes that no read would return any more."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from cachekeeper.core.ports.devices import Devices
from cachekeeper.core.ports.tiers import Clock, Expiry, Garbage, SharedTier, Swept
from cachekeeper.services.device import DeviceCaches

CHUNK = 500
#: Entries that one sweep takes: some ten seconds of work. The next one goes on.
MOST = 1_000_000


class ExpirySweep:
    """Removes expired entries from every shared tier, the index, the graph and the devices.

    The memory of a process drops its own when they are read, or for room. ``invalidate`` is called
    with keys that have expired, so that what was derived from them is invalidated; None: it stays.
    """

    def __init__(
        self,
        *,
        expiry: Expiry,
        devices: Devices,
        caches: DeviceCaches,
        now: Clock,
        invalidate: Callable[[Sequence[str]], object] | None = None,
    ) -> None:
        self._expiry, self._invalidate = expiry, invalidate
        self._devices, self._caches, self._now = devices, caches, now

    def run(self) -> dict[str, int]:
        """One sweep; returns what it removed. Safe to run twice at once."""
        swept = self.entries()
        cascaded = self.cascade()
        files = sum(len(self._caches.expire(device)) for device in self._devices.ids())
        return {
            "entries": swept.removed,
            "nodes_pruned": swept.pruned,
            "cascaded": cascaded,
            "device_files": files,
        }

    def entries(self) -> Swept:
        """Remove what has expired; no more in one sweep than fits between two of them."""
        removed = pruned = 0
        more = True
        while more and removed < MOST:
            took = self._expiry.sweep(self._now(), CHUNK, cascades=self._invalidate is not None)
            removed, pruned, more = removed + took.removed, pruned + took.pruned, took.more
        return Swept(removed, pruned, more)

    def cascade(self) -> int:
        """Have invalidated what was derived from what has expired; returns how many keys."""
        cascaded = 0
        while self._invalidate is not None and (keys := self._expiry.expired(CHUNK)):
            self._invalidate(keys)
            self._expiry.invalidated(keys)  # not before: killed in between, it is done twice
            cascaded += len(keys)
        return cascaded


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
