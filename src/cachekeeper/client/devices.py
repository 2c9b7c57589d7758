"""Devices for whoever serves or looks after them: the endpoint they talk to, the command line."""

from __future__ import annotations

import time
from dataclasses import dataclass

from cachekeeper.client.cache import Cache
from cachekeeper.services.enrol import Enrolment
from cachekeeper.services.follow import Follower
from cachekeeper.services.pins import Pinner
from cachekeeper.services.report import Reporter


@dataclass(frozen=True, slots=True)
class DeviceDesk:
    """What can be done for the devices of a deployment."""

    cache: Cache
    enrolment: Enrolment
    follower: Follower
    reporter: Reporter
    pinner: Pinner

    def ids(self) -> list[str]:
        """Every device that ever held something, or has a token."""
        stores = self.cache.stores
        return sorted({*stores.devices.ids(), *stores.tokens.since()})


def open_devices(cache: Cache) -> DeviceDesk:
    """The devices of the cache's deployment."""
    stores = cache.stores
    return DeviceDesk(
        cache=cache,
        enrolment=Enrolment(stores.tokens, time.time),
        follower=Follower(stores.following),
        reporter=Reporter(reports=stores.reports, limits=cache.device_caches.limits, now=time.time),
        pinner=cache.pinner,
    )
