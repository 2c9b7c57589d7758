"""The client: one object that a producer service opens once."""

from __future__ import annotations

import os
import time
import weakref
from collections.abc import Iterable
from contextlib import suppress
from types import TracebackType

from cachekeeper.client.accesses import Accesses
from cachekeeper.client.broker import Broker
from cachekeeper.client.content import FileSource
from cachekeeper.client.device import Device
from cachekeeper.client.identity import this_process
from cachekeeper.client.inherited import inherited
from cachekeeper.client.lifetimes import lifetime_of
from cachekeeper.client.looking import AnyTier, Looking, asked_for
from cachekeeper.client.namespace import Namespace
from cachekeeper.client.node import Node
from cachekeeper.client.reading import ReadThrough
from cachekeeper.client.receipt import ReceiptHandle
from cachekeeper.client.serializers import serializer as serializer_named
from cachekeeper.client.stores import open_stores, server_urls
from cachekeeper.client.unit_of_work import UnitOfWork
from cachekeeper.client.warming import WarmHandle, Warming
from cachekeeper.core.device import Limits
from cachekeeper.core.keys import check_key, check_namespace, namespace_of
from cachekeeper.core.receipt import Status, pending_receipt
from cachekeeper.core.request import Request
from cachekeeper.core.stamps import Entry, source_of_key
from cachekeeper.core.strategy import STRATEGIES, Consistency, Strategy
from cachekeeper.errors import BrokerUnavailable, ConfigurationError, InvalidInput, QuotaExceeded
from cachekeeper.names import Task
from cachekeeper.origin.opening import opened
from cachekeeper.services.device import DeviceCaches
from cachekeeper.services.pins import Pinner
from cachekeeper.services.submit import Submitter
from cachekeeper.settings import Settings, load
from cachekeeper.store.memory import MemoryTier
from cachekeeper.store.redis.incarnation import lease_clock

FLUSH = {
    Strategy.SCHEDULED: Task.FLUSH_SCHEDULED,
    Strategy.BACKGROUND: Task.FLUSH_BACKGROUND,
    Strategy.IMMEDIATE: Task.FLUSH_BULK,
    Strategy.LAZY: Task.FLUSH_BULK,
}


class Cache(Looking):
    """A read-through cache in memory, Redis and on disk, invalidated through workers.

    Servers come from ``CACHEKEEPER_CACHE_URL`` and ``CACHEKEEPER_BROKER_URL``; without them,
    from the deployment that runs on this machine (``cachekeeper up``). One instance per process,
    opened after a fork; threads may share it.

    Raises:
        ConfigurationError: no server is given and none runs here, or a setting is wrong.
        CacheUnavailable: the server can't be reached.
    """

    _accesses: Accesses | None

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or load()
        self.origin = opened(self.settings)
        cache_url, broker_url = server_urls(self.settings)
        self._kept_on_disk: set[str] = set()
        self.stores = open_stores(self.settings, cache_url, self._belongs_on_disk)
        self.broker = Broker(broker_url)
        self._memory = MemoryTier(int(self.settings.memory_bytes), lease_clock)
        self._node = self._join() if self.settings.memory_bytes else None
        near: list[AnyTier] = [self._memory] if self._node else []
        self.tiers: dict[str, AnyTier] = {
            tier.name: tier for tier in (*near, self.stores.redis, self.stores.disk)
        }
        self._accesses = Accesses(self.stores.expiry.extend, self._memory.prolong)
        self._reading = ReadThrough(
            list(self.tiers.values()),
            self.stores.marks,
            self.stores.graph,
            self._accesses,
            self.settings.early_refresh_beta,
        )
        forked = weakref.WeakMethod(self._forked)
        os.register_at_fork(after_in_child=lambda: (method := forked()) and method())
        self._namespaces: dict[str, Namespace] = {}
        self.files = self.namespace("file", on_disk=True)  # its blobs serve devices too
        if self.origin:
            self.files.loader(self.origin.read)
        self.file_source = FileSource(
            origin=self.origin,
            load=self.load_file,
            redis=self.stores.redis,
            disk=self.stores.disk,
            blobs=self.stores.blobs,
            marks=self.stores.marks,
            small=int(self.settings.redis_value_bytes),
            ttl_s=self.settings.ttl_default_s,
        )
        self._warming = Warming(self.stores.warm, self.broker, self.stores.graph, self._namespaces)
        self.device_caches = DeviceCaches(
            devices=self.stores.devices,
            files=self.stores.files,
            source=self.file_source,
            limits=lambda device: Limits(*self.settings.limits_of(device)),
            now=time.time,
        )
        self.pinner = Pinner(
            pins=self.stores.pins,
            caches=self.device_caches,
            limits=self.device_caches.limits,
            now=time.time,
        )

    def namespace(
        self,
        name: str,
        *,
        ttl_s: float | None = None,
        ttl_class: str | None = None,
        serializer: str = "bytes",
        on_disk: bool = False,
    ) -> Namespace:
        """Declare a namespace; its loader is set by its ``loader`` decorator.

        Its values live for ``ttl_s`` seconds, or as ``ttl_class`` says (``media``, ``metadata``,
        ``config`` or one of the settings): from its base, or from ``ttl_s``, longer with every
        access. Values too large for the Redis tier are kept on disk, with ``on_disk`` all of them.

        Raises:
            InvalidInput: the name, the lifetime, its class or the serializer is not allowed, or
                the name is taken.
        """
        lifetime = lifetime_of(self.settings, ttl_s, ttl_class)
        if check_namespace(name) in self._namespaces:
            raise InvalidInput("namespace", name, "a name not declared before")
        made = Namespace(
            name,
            self._reading,
            self._memory.hit,
            lifetime,
            serializer_named(serializer),
            watched=lifetime.extends or self.settings.early_refresh_beta > 0,
        )
        if self._accesses is not None:
            self._accesses.declare(name, lifetime)
        self._namespaces[name] = made
        if on_disk:
            self._kept_on_disk.add(name)
        return made

    def invalidate(
        self,
        keys: str | Iterable[str] = (),
        *,
        tag: str | None = None,
        namespace: str | None = None,
        strategy: str = Strategy.IMMEDIATE,
        consistency: str = Consistency.EVENTUAL,
        cascade: bool = True,
        reason: str = "",
        by: str = "",
    ) -> ReceiptHandle:
        """Ask for an invalidation of keys, a tag or a namespace and all derived from them.

        Returns at once with a handle; ``handle.wait(seconds)`` gives the receipt. ``by`` says who
        asks, for the record: this process, unless told.

        Raises:
            InvalidInput: an argument is malformed; nothing was changed.
            BrokerUnavailable, CacheUnavailable, PendingFull: nothing was asked for.
        """
        request = asked_for(
            keys,
            tag,
            namespace,
            strategy=strategy,
            consistency=consistency,
            cascade=cascade,
            reason=reason,
            by=by or this_process(),
        )
        if STRATEGIES[request.strategy].waits or request.is_bulk:
            self.submit(request)
        else:
            self._send(request)
        return self.receipt(request.id)

    def unit_of_work(
        self,
        *,
        deadline_s: float = 30,
        strategy: str = Strategy.IMMEDIATE,
        consistency: str = Consistency.EVENTUAL,
        cascade: bool = True,
        reason: str = "",
        by: str = "",
    ) -> UnitOfWork:
        """Invalidate when a transaction of yours commits, even if this process dies meanwhile.

        ``deadline_s`` counts from ``prepare``; see ``UnitOfWork``. Raises InvalidInput.
        """
        return UnitOfWork(
            self.stores,
            self.broker,
            self.submit,
            deadline_s=deadline_s,
            strategy=strategy,
            consistency=consistency,
            cascade=cascade,
            reason=reason,
            by=by or this_process(),
        )

    def depend(self, key: str, on: str | Iterable[str]) -> None:
        """Declare that the stored value of ``key`` was derived from other keys too.

        So it was from all that those were made from, as if its loader had read them. If any of it
        was invalidated since the value was made, the value is invalidated as well. Only of a key
        that no tier holds, and whose namespace is not declared here, the tags are not known.

        Raises:
            InvalidInput: a key is malformed, or no tier holds ``key``.
            BrokerUnavailable, CacheUnavailable: nothing was declared, or not to the end.
        """
        inputs = [check_key(k, "on") for k in ([on] if isinstance(on, str) else on)]
        found = self._reading.peek(check_key(key))
        if found is None:
            raise InvalidInput("key", key, "a key whose value is stored")
        # A value derived from it may live on when it is gone: one more longest life.
        expires = found.entry.expires + self.settings.longest_life_s
        sources, read = inherited(inputs, self._reading, self.stores.graph, self._tags_of)
        as_of = found.entry.stamp.as_of
        fresh = self.stores.marks.declare(source_of_key(key), sources, as_of, expires)
        self.stores.graph.link(key, inputs, more=True, read=read, sources=sources)
        if not fresh:
            self.invalidate(key, reason="it depends on what was invalidated before")

    def pin(self, key: str) -> None:
        """Keep a key in the memory of this process whatever else is read.

        Raises:
            InvalidInput: the key is malformed.
            QuotaExceeded: pinned values would take more than half of the memory tier.
        """
        if not self._memory.pin(check_key(key)):
            raise QuotaExceeded(f"{key}: pins may take half of memory_bytes, not more")

    def unpin(self, key: str) -> None:
        """Let a key be evicted again. Raises InvalidInput."""
        self._memory.unpin(check_key(key))

    def device(self, name: str) -> Device:
        """The cache of a device, which reads files of the origin. Raises InvalidInput."""
        broker = self.broker if self.settings.prefetch else None
        return Device(
            name, self.device_caches, self.pinner, self.stores.devices, broker, self._warming
        )

    def warm(self, targets: str | Iterable[str]) -> WarmHandle:
        """Have files and keys ready in the caches of this site: a handle on the job.

        A target is a path of the origin, a folder (all below it, ``.`` for everything) or a key.
        A key whose namespace has its loader here is made here, before this returns; the files that
        it was made from are fetched by workers, as are paths and folders.

        Raises:
            InvalidInput: a target is malformed, or a key that nothing is known of.
            PendingFull: too many jobs are open already.
        """
        return self._warming.begin(targets)

    def warm_job(self, job: str) -> WarmHandle:
        """The handle of a warm job that any process began. Raises InvalidInput: that is no id."""
        return self._warming.handle(job)

    def origin_of(self, path: str) -> str:
        """The name of the origin that a path belongs to."""
        return path.partition("/")[0] if self.settings.origins else "origin"

    def load_file(self, path: str) -> Entry:
        """A file of the origin through the tiers.

        Raises:
            ConfigurationError: there is no origin.
            InvalidInput, OriginMissing, OriginUnavailable: as the origin says.
        """
        if self.origin is None:
            raise ConfigurationError("origin: none is set (CACHEKEEPER_ORIGIN)")
        return self.files.entry(path)

    def stats(self) -> dict[str, int]:
        """Reads of this process by the tier that answered, else ``loader`` or ``bypass``."""
        return {"memory": self._memory.hits, **self._reading.statistics.counts}

    def close(self) -> None:
        """Leave; memory serves nothing from here on."""
        if self._accesses is not None:
            self._accesses.close()
        if self._node:
            self._node.close()
        self.broker.close()
        self.stores.connection.close()

    def __enter__(self) -> Cache:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _forked(self) -> None:
        """In the child of a fork: nothing follows the log here until the first read."""
        self._memory.forked()
        self._reading.forked(self._revive)

    def _revive(self) -> None:
        """A fork is a node of its own, with an empty memory and another name."""
        if self._node is not None:
            self._node = self._join()

    def _join(self) -> Node:
        return Node(self.stores.nodes, self._memory, self.settings.lease_s)

    def _belongs_on_disk(self, key: str, size: int) -> bool:
        return size > self.settings.redis_value_bytes or namespace_of(key) in self._kept_on_disk

    def _tags_of(self, key: str) -> tuple[str, ...]:
        name, _, rest = key.partition(":")
        return self._namespaces[name].recipe(rest).tags if name in self._namespaces else ()

    def submit(self, request: Request) -> int:
        """Have a checked request wait for its turn; returns how many wait with it.

        A full batch rings the bell itself, as one does that is too large for a message.

        Raises:
            CacheUnavailable, PendingFull: nothing was asked for.
        """
        settings = self.settings
        widens = settings.pending_full == "widen"
        waiting = Submitter(self.stores.pending, settings.pending_cap, widens).submit(request)
        full = {
            Strategy.SCHEDULED: settings.scheduled_batch,
            Strategy.BACKGROUND: settings.background_batch,
        }.get(request.strategy, 1)
        if waiting % full == 0:
            with suppress(BrokerUnavailable):  # only the bell: beat comes anyway
                self.broker.send(FLUSH[request.strategy], {})
        return waiting

    def _send(self, request: Request) -> None:
        receipt = pending_receipt(request)
        self.stores.receipts.open(receipt)
        try:
            queue = STRATEGIES[request.strategy].queue
            self.broker.send(Task.INVALIDATE, request.to_wire(), queue=queue)
        except BrokerUnavailable as error:
            receipt.status, receipt.error = Status.FAILED, str(error)
            self.stores.receipts.save([receipt])
            raise
