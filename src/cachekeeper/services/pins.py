"""Pins: files that a device keeps whatever else it reads, within its quota."""

from __future__ import annotations

from cachekeeper.core.keys import check_device, check_path
from cachekeeper.core.ports import Clock, PinLedger
from cachekeeper.errors import Busy, QuotaExceeded
from cachekeeper.services.device import DeviceCaches


class Pinner:
    """Pins files on devices, fetching what they don't hold."""

    def __init__(self, *, pins: PinLedger, caches: DeviceCaches, quota: int, now: Clock) -> None:
        self._pins, self._caches = pins, caches
        self._quota, self._now = quota, now

    def pin(self, device: str, path: str) -> int:
        """Keep a file on a device until it is unpinned; returns its bytes.

        It is neither evicted nor removed when it expires. Pinned twice is pinned once.

        Raises:
            InvalidInput: the device id or the path is malformed.
            QuotaExceeded: with it, pins would take more than the quota.
            OriginMissing, OriginUnavailable: it is not held and can't be loaded.
            Busy: it is being stored or removed at this moment.
        """
        attempt = self._pins.pin(check_device(device), check_path(path), self._quota)
        if attempt is None:
            # Refuses by itself what does not fit beside the pins, and evicts nothing for it.
            self._caches.fetch(device, path)
            attempt = self._pins.pin(device, path, self._quota)
        if attempt is None:
            raise Busy(f"{path}: evicted from {device} before it was pinned")
        if not attempt.done:
            raise QuotaExceeded(
                f"{path}: {attempt.size} bytes can't be pinned on {device}: {attempt.others} are "
                f"pinned already, of a quota of {self._quota}"
            )
        return attempt.size

    def unpin(self, device: str, path: str) -> bool:
        """Let a file be evicted again; false if it was not pinned. Raises InvalidInput."""
        return self._pins.unpin(check_device(device), check_path(path), self._now())

    def pins(self, device: str) -> dict[str, int]:
        """Bytes of what is pinned, by path. Raises InvalidInput."""
        return self._pins.pins(check_device(device))
