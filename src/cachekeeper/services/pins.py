"""Pins: files that a device keeps whatever else it reads, within its quota."""

from __future__ import annotations

from collections.abc import Callable

from cachekeeper.core.device import DEMAND, Limits
from cachekeeper.core.keys import check_device, check_path
from cachekeeper.core.ports.devices import PinLedger
from cachekeeper.core.ports.tiers import Clock
from cachekeeper.core.retention import Priority
from cachekeeper.errors import Busy, QuotaExceeded
from cachekeeper.services.device import DeviceCaches


class Pinner:
    """Pins files on devices, fetching what they don't hold."""

    def __init__(
        self,
        *,
        pins: PinLedger,
        caches: DeviceCaches,
        limits: Callable[[str], Limits],
        now: Clock,
    ) -> None:
        self._pins, self._caches = pins, caches
        self._limits, self._now = limits, now

    def pin(self, device: str, path: str) -> int:
        """Keep a file on a device until it is unpinned; returns its bytes.

        It is neither evicted nor removed when it expires. Pinned twice is pinned once.

        Raises:
            InvalidInput: the device id or the path is malformed.
            QuotaExceeded: with it, pins would take more than the quota.
            DiskFull: the file system has no room for it.
            OriginMissing, OriginUnavailable: it is not held and can't be loaded.
            Busy: it is being stored or removed at this moment.
        """
        limits = self._limits(check_device(device))
        attempt = self._pins.pin(device, check_path(path), limits.quota)
        if not attempt.held:
            try:
                # Pinned already, so it makes room whatever the others are worth.
                self._caches.fetch(device, path, Priority.MEDIUM, DEMAND)
            except BaseException:
                self._pins.unpin(device, path, limits.policy, self._now(), absent=True)
                raise
            attempt = self._pins.pin(device, path, limits.quota)
        if not attempt.held:
            raise Busy(f"{path}: removed from {device} while it was pinned")
        if not attempt.done:
            raise QuotaExceeded(
                f"{path}: {attempt.size} bytes can't be pinned on {device}: {attempt.others} are "
                f"pinned already, of a quota of {limits.quota}"
            )
        return attempt.size

    def unpin(self, device: str, path: str) -> bool:
        """Let a file be evicted again; false if it was not pinned. Raises InvalidInput."""
        policy = self._limits(check_device(device)).policy
        return self._pins.unpin(device, check_path(path), policy, self._now(), absent=False)

    def pins(self, device: str) -> dict[str, int]:
        """Bytes of what is pinned, by path; 0 of what is not held now. Raises InvalidInput."""
        return self._pins.pins(check_device(device))
