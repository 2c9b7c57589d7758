"""Every kind of tier over one real server, and what moves them: marks and a node that follows."""

from __future__ import annotations

import shutil
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from cachekeeper.client.node import Node
from cachekeeper.client.stores import Stores, open_stores
from cachekeeper.core.ports.tiers import Tier
from cachekeeper.core.request import make_request
from cachekeeper.core.stamps import Entry, Found, Moment, Stamp, merged, stamp_of_tags
from cachekeeper.local.server import EmbeddedServer
from cachekeeper.local.state import State
from cachekeeper.settings import Settings
from cachekeeper.store.memory import MemoryTier
from cachekeeper.store.redis.connection import Connection
from cachekeeper.store.redis.incarnation import lease_clock
from cachekeeper.store.redis.marks import RedisMarks
from tests.support import fresh_deployment, unused_port, wait_until

MIB = 1024 * 1024
LEASE_S = 3.0
TIERS = ("memory", "redis", "disk")


@pytest.fixture
def connection(server_url: str, deployment: str) -> Iterator[Connection]:
    """A connection of a process to the shared server."""
    with closing(Connection(server_url, deployment)) as connection:
        yield connection


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
    ) -> Moment:
        """Invalidate, and return once every tier has been told."""
        request = make_request(
            id=uuid.uuid4().hex,
            at=time.time(),
            keys=keys,
            tags=list(tags),
            namespaces=list(namespaces),
            cascade=cascade,
        )
        moment = self.stores.marks.mark([request], time.time())[0]
        wait_until(lambda: self.memory.applied >= moment)
        return moment

    def found(
        self,
        body: bytes = b"value",
        *,
        tags: Iterable[str] = (),
        inputs: Iterable[str] = (),
        lifetime_s: float = 60,
    ) -> Found:
        """A value as a loader that began and ended just now would make it."""
        moment, now = self.stores.marks.now(), time.time()
        above = [Stamp(moment).handed_on(name, moment) for name in inputs]
        stamp = merged([stamp_of_tags(tags, moment), *above])
        return Found(Entry(body, stamp, now, now + lifetime_s), moment)


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
            state=tmp_path_factory.mktemp("state"),
            deployment=deployment,
            redis_value_bytes=4 * MIB,
            lease_s=LEASE_S,
        )
        stores = open_stores(settings, server_url, lambda *_: True)
        memory = MemoryTier(8 * MIB, lease_clock)
        node = Node(stores.nodes, memory, LEASE_S)
        yield Site(stores, memory, State(settings.state).blobs)
        node.close()
        stores.connection.close()


@pytest.fixture(params=TIERS)
def shelf(site: Site, request: pytest.FixtureRequest) -> Shelf:
    """Each tier in turn."""
    return Shelf(site, site.tier(request.param))


@dataclass
class OwnServer:
    """A server of the test's own, which it may stop, start again and set back."""

    folder: Path
    port: int = field(default_factory=unused_port)
    running: EmbeddedServer | None = None

    @property
    def url(self) -> str:
        """The same at every start."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """On the data that is there."""
        self.running = EmbeddedServer(self.folder, port=self.port)
        self.running.start()
        assert self.running.url == self.url

    def stop(self) -> None:
        """Every write is on the disk then."""
        if self.running:
            self.running.stop()
            self.running = None

    def restart(self) -> None:
        """With all that it knew, and another run id."""
        self.stop()
        self.start()

    def back_up(self, to: Path) -> None:
        """Copy its data, as an operator does; it is away for that long."""
        self.stop()
        shutil.copytree(self.folder, to, ignore=shutil.ignore_patterns("lock", "*.sock"))
        self.start()

    def restore(self, from_: Path) -> None:
        """Run on what was there at the time of the copy."""
        self.stop()
        shutil.rmtree(self.folder)
        shutil.copytree(from_, self.folder)
        self.start()


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[OwnServer]:
    """See ``OwnServer``."""
    server = OwnServer(tmp_path / "server")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def given(own_server: OwnServer, tmp_path: Path) -> Settings:
    """The settings of a client on the test's own server."""
    return Settings(
        cache_url=own_server.url,
        broker_url=own_server.url,
        deployment=f"test-{uuid.uuid4().hex[:12]}",
        state=tmp_path / "state",
        prefetch=False,
        lease_s=0.4,
        ack_timeout_s=0.3,
        lease_drift_s=0.1,
    )


def marked(marks: RedisMarks, *keys: str, **more: object) -> Moment:
    """Invalidate keys, without a worker."""
    fields = {"id": uuid.uuid4().hex, "at": time.time(), "keys": keys, **more}
    return marks.mark([make_request(**fields)], time.time())[0]


def aged(found: Found, epoch: int) -> Found:
    """The same value, made at an earlier epoch."""
    moment = found.moment._replace(epoch=epoch)
    stamp = Stamp(moment, found.entry.stamp.sources)
    return Found(found.entry._replace(stamp=stamp), moment)
