"""A device's cache as a producer uses it."""

from __future__ import annotations

import logging

from cachekeeper.client.broker import Broker
from cachekeeper.core.device import Ledger
from cachekeeper.core.keys import check_device
from cachekeeper.core.ports import Devices
from cachekeeper.errors import BrokerUnavailable
from cachekeeper.names import Task
from cachekeeper.services.device import DeviceCaches
from cachekeeper.services.read import Read

STALE_AFTER_S = 60.0  # by then the device reads something else

log = logging.getLogger(__name__)


class Device:
    """One device; made by ``Cache.device``."""

    def __init__(
        self, name: str, caches: DeviceCaches, devices: Devices, broker: Broker | None
    ) -> None:
        self.id = check_device(name)
        self._caches, self._devices, self._broker = caches, devices, broker

    def get(self, path: str) -> Read:
        """Read a file: the device's own copy if it is fresh, else through the tiers.

        A worker is asked to fetch its neighbours.

        Raises:
            InvalidInput: the path is malformed or leaves the origin.
            OriginMissing, OriginUnavailable: it is not held and can't be loaded.
        """
        read = self._caches.get(self.id, path)
        if self._broker is not None:
            try:
                wanted = {"device": self.id, "path": path}
                self._broker.send(Task.PREFETCH, wanted, expires_s=STALE_AFTER_S)
            except BrokerUnavailable as error:  # a read is not to fail for a prediction
                log.warning("prefetch_not_requested device=%s path=%s: %s", self.id, path, error)
        return read

    def ledger(self) -> Ledger:
        """Bytes used and reserved, and the counters."""
        return self._devices.ledger(self.id)
