"""A device's cache as a producer uses it."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Sequence

from cachekeeper.client.broker import Broker
from cachekeeper.client.warming import WarmHandle, Warming
from cachekeeper.core.device import Ledger
from cachekeeper.core.keys import check_device
from cachekeeper.core.ports.devices import Devices
from cachekeeper.errors import BrokerUnavailable
from cachekeeper.names import Task
from cachekeeper.services.device import DeviceCaches
from cachekeeper.services.pins import Pinner
from cachekeeper.services.read import Read

log = logging.getLogger(__name__)


class Device:
    """One device; made by ``Cache.device``."""

    def __init__(
        self,
        name: str,
        caches: DeviceCaches,
        pinner: Pinner,
        devices: Devices,
        broker: Broker | None,
        warming: Warming,
    ) -> None:
        self.id = check_device(name)
        self._caches, self._pinner = caches, pinner
        self._devices, self._broker, self._warming = devices, broker, warming

    def get(self, path: str) -> Read:
        """Read a file: the device's own copy if it is fresh, else through the tiers.

        A worker is asked to fetch what the device is likely to read next.

        Raises:
            InvalidInput: the path is malformed or leaves the origin.
            OriginMissing, OriginUnavailable: it is not held and can't be loaded.
        """
        read = self._caches.get(self.id, path)
        self.read_elsewhere([path])
        return read

    def read_elsewhere(
        self, paths: Sequence[str], *, at: float | None = None, until: float | None = None
    ) -> None:
        """Have it learnt that the device has read files by itself, and what is next fetched.

        ``at`` is when, now unless told (seconds since 1970); ``until`` is when a fetch comes too
        late, a minute after the access unless told. At most 200 paths, in their order.
        """
        if self._broker is None or not paths:
            return
        told = {"device": self.id, "paths": list(paths), "at": time.time() if at is None else at}
        if until is not None:
            told["until"] = until
        try:
            self._broker.send(Task.PLAN, told)
        except BrokerUnavailable as error:  # a read is not to fail for a prediction
            log.warning("prefetch_not_requested device=%s paths=%d: %s", self.id, len(paths), error)

    def warm(self, targets: str | Iterable[str]) -> WarmHandle:
        """Have files on the device before it asks for them, as ``Cache.warm``.

        It stops when the device is full of what is worth more. Nothing that was warmed makes room
        for another.

        Raises:
            InvalidInput: a target is malformed, or a key that nothing is known of.
            PendingFull: too many jobs are open already.
        """
        return self._warming.begin(targets, self.id)

    def pin(self, path: str) -> int:
        """Keep a file on the device until it is unpinned, fetching it if need be; its bytes.

        It is neither evicted nor removed when it expires.

        Raises:
            InvalidInput: the path is malformed or leaves the origin.
            QuotaExceeded: with it, pins would take more than the quota.
            OriginMissing, OriginUnavailable: it is not held and can't be loaded.
            Busy: it is being stored or removed at this moment.
        """
        return self._pinner.pin(self.id, path)

    def unpin(self, path: str) -> bool:
        """Let a file be evicted again; false if it was not pinned. Raises InvalidInput."""
        return self._pinner.unpin(self.id, path)

    def pins(self) -> dict[str, int]:
        """Bytes of what is pinned, by path."""
        return self._pinner.pins(self.id)

    def ledger(self) -> Ledger:
        """Bytes used and reserved, and the counters."""
        return self._devices.ledger(self.id)
