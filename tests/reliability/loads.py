"""A load for each type of task: it asks for work, and says what must have come out.

``step`` asks once, again and again while a fault lasts; what a server refuses was not accepted.
``owed`` says what has not come out yet; it has to become nothing. ``wrong`` is looked at
afterwards.
"""

from __future__ import annotations

import itertools
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from cachekeeper.client.cache import Cache
from cachekeeper.client.device import Device
from cachekeeper.client.namespace import Namespace
from cachekeeper.client.receipt import ReceiptHandle
from cachekeeper.core.receipt import Status
from cachekeeper.core.strategy import Consistency, Strategy
from cachekeeper.errors import CachekeeperError
from cachekeeper.names import Task
from cachekeeper.store.redis.dead import RedisDeadLetters
from cachekeeper.store.redis.marks import parse
from tests.chaos.pipeline.judge import marks_by_request
from tests.reading import EVERYBODY, follow
from tests.reliability.world import QUOTA, World

FEW: Final = 8
SERIES: Final = 12
#: A device that got nothing of what it is likely to read next reads on after this.
AGAIN_S: Final = 2.0
FILE_BYTES: Final = 2_000
BIG_BYTES: Final = 14_000
HIGH_WATER: Final = 0.95


class Load:
    """What all have in common. ``name`` is the type of task, ``worker`` who does it."""

    name: str
    worker = "general"
    tasks: tuple[str, ...]  # what a fault inside of a task waits for

    def __init__(self, world: World) -> None:
        self.world, self.cache = world, world.cache
        self.id = uuid.uuid4().hex[:8]
        self.accepted = self.refused = 0
        self.stale: list[str] = []
        self.broken: list[str] = []  # errors that no client is promised

    def step(self) -> None:
        """Ask once."""
        try:
            self.ask()
            self.accepted += 1
        except CachekeeperError:
            self.refused += 1

    def ask(self) -> None:
        """Ask once. Raises CachekeeperError: it was not accepted."""
        raise NotImplementedError

    def owed(self) -> list[str]:
        """What was accepted and has not come out."""
        raise NotImplementedError

    def twice(self) -> list[str]:
        """What had its effect more than once."""
        return []

    def failed(self) -> list[str]:
        """What ended with an error."""
        return []


class Invalidate(Load):
    """Edits of a few records, each of which is invalidated; whoever reads then sees the edit."""

    def __init__(self, world: World, strategy: Strategy) -> None:
        super().__init__(world)
        self.name, self.strategy = f"invalidate {strategy}", strategy
        self.worker = "immediate" if strategy is Strategy.IMMEDIATE else "general"
        self.tasks = (
            Task.INVALIDATE,
            *{
                Strategy.SCHEDULED: (Task.FLUSH_SCHEDULED,),
                Strategy.BACKGROUND: (Task.FLUSH_BACKGROUND,),
            }.get(strategy, ()),
        )
        if strategy in (Strategy.SCHEDULED, Strategy.BACKGROUND):
            self.tasks = self.tasks[1:]
        self.truth = dict.fromkeys((f"{i}" for i in range(FEW)), 0)
        self.records = namespace(world.cache, f"record-{self.id}", self._made)
        self.asked: dict[str, tuple[ReceiptHandle, str, int]] = {}
        self.ended: dict[str, Status] = {}
        self._turn = itertools.cycle(self.truth)

    def ask(self) -> None:
        rest = next(self._turn)
        with suppress(CachekeeperError):  # so that there is something to be stale
            self.records.get(rest)
        self.truth[rest] += 1
        key = self.records.key(rest)
        handle = self.cache.invalidate(
            key, strategy=self.strategy, consistency=Consistency.STRICT, reason=self.name
        )
        self.asked[handle.id] = (handle, rest, self.truth[rest])

    def owed(self) -> list[str]:
        for id_, (handle, rest, version) in self.asked.items():
            if id_ in self.ended:
                continue
            receipt = handle.read()
            if receipt.ended:
                self.ended[id_] = receipt.status
                if receipt.status is not Status.FAILED:
                    self._look(id_, rest, version)
        return [id_ for id_ in self.asked if id_ not in self.ended]

    def twice(self) -> list[str]:
        stores = self.cache.stores
        with self.world.server.client() as client:
            lines = [parse(*line) for line in client.xrange(stores.connection.layout.log)]
        found = marks_by_request(lines)
        return [
            id_
            for id_ in self.asked
            if any(n > 1 for counts in found.get(id_, {}).values() for n in counts.values())
        ]

    def failed(self) -> list[str]:
        letters = RedisDeadLetters(self.cache.stores.connection).newest()
        buried = {str(letter.arguments.get("id")) for letter in letters}
        bad = [id_ for id_, status in self.ended.items() if status is Status.FAILED]
        return [id_ if id_ in buried else f"{id_} silently" for id_ in bad]

    def _made(self, rest: str) -> bytes:
        return str(self.truth[rest]).encode()

    def _look(self, id_: str, rest: str, version: int) -> None:
        seen = int(self.records.get(rest))
        if seen < version:
            self.stale.append(f"{id_}: {rest} was {seen}, not {version}")


class Prefetch(Load):
    """Devices read a series that many have read; files that they did not ask for come, too."""

    name, worker, tasks = "prefetch", "fetch", (Task.PREFETCH,)

    def __init__(self, world: World) -> None:
        super().__init__(world)
        (world.folder / "origin" / self.id).mkdir()
        self._paths = [f"{self.id}/IMG_{i}.jpg" for i in range(SERIES)]
        for path in self._paths:
            (world.folder / "origin" / path).write_bytes(content(path, FILE_BYTES))
        follow(world.cache, *self._paths, devices=EVERYBODY)
        self._devices: list[Device] = []
        self._at, self._patience, self._is_over = SERIES, 0.0, False

    def ask(self) -> None:
        if self._at == SERIES:
            self._begin()
        path = self._paths[self._at]
        self._at += 1
        read = self._devices[-1].get(path)
        if not read.stale and read.body != content(path, FILE_BYTES):
            self.stale.append(path)

    def owed(self) -> list[str]:
        if not self._is_over:  # what came before now was asked for before the fault
            self._begin()
            self._is_over = True
        device = self._devices[-1]
        if device.ledger().counters.get("prefetched"):
            return []
        if time.monotonic() > self._patience:  # what was predicted may be dropped: read on
            self._patience = time.monotonic() + AGAIN_S
            with suppress(CachekeeperError):
                self.ask()
        return [f"nothing came to {device.id} that it did not ask for"]

    def twice(self) -> list[str]:
        return [line for each in self._devices for line in surplus(self.world, each.id)]

    def _begin(self) -> None:
        self._devices.append(self.cache.device(f"reader-{self.id}-{len(self._devices)}"))
        self._at = 0


class Evict(Load):
    """A device reads more than its quota; the sweep brings it below its water mark."""

    name, tasks = "evict", (Task.SWEEP_DEVICES,)

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.id = f"full-{self.id}"
        self._number = itertools.count()
        (world.folder / "origin" / self.id).mkdir()

    def ask(self) -> None:
        path = f"{self.id}/{next(self._number)}"
        (self.world.folder / "origin" / path).write_bytes(content(path, BIG_BYTES))
        caches = self.cache.device_caches
        read = caches.get(self.id, path)
        if read.body != content(path, BIG_BYTES):
            self.stale.append(path)

    def owed(self) -> list[str]:
        ledger = self.cache.stores.devices.ledger(self.id)
        above = ledger.used > HIGH_WATER * QUOTA
        return [f"{ledger.used} bytes of {QUOTA}"] if above else []

    def twice(self) -> list[str]:
        return surplus(self.world, self.id)


class Expire(Load):
    """Values that live for a second; the sweep leaves nothing of them."""

    name, tasks = "expire", (Task.SWEEP_EXPIRED,)

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.values = namespace(
            world.cache, f"brief-{self.id}", lambda rest: rest.encode(), ttl_s=1, on_disk=True
        )
        self._number = itertools.count()

    def ask(self) -> None:
        rest = str(next(self._number))
        if self.values.get(rest) != rest.encode():
            self.stale.append(rest)

    def owed(self) -> list[str]:
        index = self.cache.stores.connection.layout.expiry
        with self.world.server.client() as client:
            keys = [raw.decode() for raw in client.zrange(index, 0, -1)]
        return [key for key in keys if key.startswith(f"brief-{self.id}:")]


class Refresh(Load):
    """Values derived from others; the refresh publishes the figures of the graph that there is."""

    name, tasks = "refresh graph", (Task.REFRESH_GRAPH,)

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.base = namespace(world.cache, f"base-{self.id}", lambda rest: rest.encode(), ttl_s=300)
        self.made = namespace(
            world.cache, f"made-{self.id}", lambda rest: b"of " + self.base.get(rest), ttl_s=300
        )
        self._number, self._edges = itertools.count(), set[str]()

    def ask(self) -> None:
        rest = str(next(self._number))
        if self.made.get(rest) != b"of " + rest.encode():
            self.stale.append(rest)

    def owed(self) -> list[str]:
        layout = self.cache.stores.connection.layout
        with self.world.server.client() as client:
            published = int(client.hget(layout.graph_stats, "nodes") or 0)
            there = int(client.scard(layout.graph_nodes))
        return [] if published == there else [f"{published} nodes published of {there}"]


def namespace(
    cache: Cache,
    name: str,
    loader: Callable[[str], bytes],
    *,
    ttl_s: float | None = None,
    on_disk: bool = False,
) -> Namespace:
    """A namespace with its loader."""
    made = cache.namespace(name, ttl_s=ttl_s, on_disk=on_disk)
    made.loader(loader)
    return made


def content(path: str, size: int) -> bytes:
    """What the origin has under a path."""
    return (path.encode() * (size // len(path) + 1))[:size]


def surplus(world: World, device: str) -> list[str]:
    """Bytes that lie in a device's folder and in no ledger, or beyond its quota."""
    stores = world.cache.stores
    on_disk = stores.files.bytes_on_disk(device)
    ledger = stores.devices.ledger(device)
    found = [f"{on_disk} bytes on disk, {ledger.used} counted"] if on_disk != ledger.used else []
    return found + ([f"{on_disk} bytes of {QUOTA}"] if on_disk > QUOTA else [])


def _of(strategy: Strategy) -> Callable[[World], Load]:
    return lambda world: Invalidate(world, strategy)


#: By the type of task, in the order of the table.
LOADS: Final[dict[str, Callable[[World], Load]]] = {
    **{f"invalidate {strategy}": _of(strategy) for strategy in Strategy},
    "prefetch": Prefetch,
    "evict": Evict,
    "expire": Expire,
    "refresh graph": Refresh,
}
