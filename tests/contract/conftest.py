"""Every kind of tier over one real server, and what moves them: marks and a node that follows."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from cachekeeper.client.node import Node, lease_clock
from cachekeeper.client.stores import Stores, open_stores
from cachekeeper.core.ports import Tier
from cachekeeper.core.request import make_request
from cachekeeper.core.stamps import Entry, Found, Stamp, own_stamp
from cachekeeper.local.state import State
from cachekeeper.settings import Settings
from cachekeeper.store.memory import MemoryTier
from tests.support import fresh_deployment, wait_until

MIB = 1024 * 1024
LEASE_S = 3.0
TIERS = ("memory", "redis", "disk")


@dataclass
class Site:
    """All tiers of one process over one server."""

    stores: Stores
    memory: MemoryTier
    blobs: Path

    def tier(self, name: str) -> Tier:
        """A tier by its name."""
        tiers: dict[str, Tier] = {
            tier.name: tier for tier in (self.memory, self.stores.redis, self.stores.disk)
        }
        return tiers[name]

    def mark(
        self,
        *keys: str,
        tags: Iterable[str] = (),
        namespaces: Iterable[str] = (),
        cascade: bool = True,
    ) -> int:
        """Invalidate, and return once every tier has been told."""
        request = make_request(
            id=uuid.uuid4().hex,
            at=time.time(),
            keys=keys,
            tags=list(tags),
            namespaces=list(namespaces),
            cascade=cascade,
        )
        epoch = self.stores.marks.mark(request, time.time())
        wait_until(lambda: self.memory.applied >= epoch)
        return epoch

    def found(
        self,
        key: str,
        body: bytes = b"value",
        *,
        tags: Iterable[str] = (),
        inputs: Iterable[str] = (),
        lifetime_s: float = 60,
    ) -> Found:
        """A value as a loader that began and ended just now would make it."""
        epoch, now = self.stores.marks.epoch(), time.time()
        sources = dict.fromkeys(own_stamp(key, key.partition(":")[0], tags, epoch).sources)
        for name in inputs:
            above = own_stamp(name, name.partition(":")[0], (), epoch)
            sources |= dict.fromkeys(above.handed_on(epoch).sources)
        stamp = Stamp(epoch, tuple(sources))
        return Found(Entry(body, stamp, now, now + lifetime_s), epoch)


@dataclass
class Shelf:
    """One tier, and keys that no other test uses."""

    site: Site
    tier: Tier
    namespace: str = field(default_factory=lambda: f"n{uuid.uuid4().hex[:8]}")

    def key(self, rest: str = "a") -> str:
        """A key in a namespace of the test's own."""
        return f"{self.namespace}:{rest}"

    def body(self, key: str) -> bytes | None:
        """What a read of the tier gives."""
        found = self.tier.read(key)
        return None if found is None else found.entry.body


@pytest.fixture(scope="module")
def site(server_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The tiers of a deployment of the module's own."""
    with fresh_deployment(server_url) as deployment:
        settings = Settings(
            state=tmp_path_factory.mktemp("state"), deployment=deployment, redis_value_bytes=4 * MIB
        )
        stores = open_stores(settings, server_url)
        memory = MemoryTier(8 * MIB, time.time, lease_clock)
        node = Node(stores.nodes, memory, stores.marks.epoch(), LEASE_S)
        yield Site(stores, memory, State(settings.state).blobs)
        node.close()
        stores.connection.close()


@pytest.fixture(params=TIERS)
def shelf(site: Site, request: pytest.FixtureRequest) -> Shelf:
    """Each tier in turn."""
    return Shelf(site, site.tier(request.param))


def aged(found: Found, epoch: int) -> Found:
    """The same value, made at an earlier epoch."""
    entry = found.entry
    stamp = Stamp(epoch, entry.stamp.sources)
    return Found(Entry(entry.body, stamp, entry.filled, entry.expires), epoch)
