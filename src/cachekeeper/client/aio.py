"""The client for asyncio: the same names as ``Cache``, and whatever may wait is awaited.

It calls a ``Cache`` in a bounded pool of threads. What the memory of the process holds is
answered at once, on the event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from concurrent.futures import Future
from itertools import islice
from typing import Any, Self

from cachekeeper.client.aio_namespace import AsyncNamespace
from cachekeeper.client.aio_reading import AsyncReading, Threads
from cachekeeper.client.aio_receipt import AsyncReceiptHandle
from cachekeeper.client.aio_unit_of_work import AsyncUnitOfWork
from cachekeeper.client.cache import Cache
from cachekeeper.client.device import Device
from cachekeeper.client.looking import PREVIEWED
from cachekeeper.client.warming import WarmHandle
from cachekeeper.core.device import Ledger
from cachekeeper.core.preview import Preview
from cachekeeper.core.receipt import Receipt
from cachekeeper.core.strategy import Consistency, Strategy
from cachekeeper.errors import ConfigurationError
from cachekeeper.services.explain import Why
from cachekeeper.services.read import Read
from cachekeeper.settings import Settings

#: Calls to the servers that are on their way at once.
THREADS = 8
RECORDS_AT_ONCE = 100


class AsyncCache:
    """A ``Cache`` for one event loop: ``async with AsyncCache() as cache``.

    ``cache`` is one to use, which is closed in the end, instead of one of these settings: the
    testing kit's, say.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        cache: Cache | None = None,
        threads: int = THREADS,
    ) -> None:
        self._settings, self._cache, self._size = settings, cache, threads
        self._threads: Threads
        self._reading: AsyncReading

    @classmethod
    async def open(
        cls,
        settings: Settings | None = None,
        *,
        cache: Cache | None = None,
        threads: int = THREADS,
    ) -> Self:
        """An open one; end it with ``close``.

        Raises:
            ConfigurationError: no server is given and none runs here, or a setting is wrong.
            CacheUnavailable: the server can't be reached.
        """
        return await cls(settings, cache=cache, threads=threads).__aenter__()

    def namespace(
        self,
        name: str,
        *,
        ttl_s: float | None = None,
        ttl_class: str | None = None,
        serializer: str = "bytes",
        on_disk: bool = False,
    ) -> AsyncNamespace:
        """Declare a namespace, as ``Cache.namespace``. Raises InvalidInput."""
        made = self._sync.namespace(
            name, ttl_s=ttl_s, ttl_class=ttl_class, serializer=serializer, on_disk=on_disk
        )
        return AsyncNamespace(made, self._reading, self._threads)

    async def invalidate(
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
    ) -> AsyncReceiptHandle:
        """Ask for an invalidation, as ``Cache.invalidate``.

        Raises:
            InvalidInput: an argument is malformed; nothing was changed.
            BrokerUnavailable, CacheUnavailable: nothing was asked for.
        """
        handle = await self._threads.run(
            self._sync.invalidate,
            keys,
            tag=tag,
            namespace=namespace,
            strategy=strategy,
            consistency=consistency,
            cascade=cascade,
            reason=reason,
            by=by,
        )
        return AsyncReceiptHandle(handle, self._threads)

    def unit_of_work(
        self,
        *,
        deadline_s: float = 30,
        strategy: str = Strategy.IMMEDIATE,
        consistency: str = Consistency.EVENTUAL,
        cascade: bool = True,
        reason: str = "",
        by: str = "",
    ) -> AsyncUnitOfWork:
        """Invalidate when a transaction commits, as ``Cache.unit_of_work``. Raises InvalidInput."""
        unit = self._sync.unit_of_work(
            deadline_s=deadline_s,
            strategy=strategy,
            consistency=consistency,
            cascade=cascade,
            reason=reason,
            by=by,
        )
        return AsyncUnitOfWork(unit, self._threads)

    async def depend(self, key: str, on: str | Iterable[str]) -> None:
        """Declare that a stored value was derived from other keys too, as ``Cache.depend``.

        Raises:
            InvalidInput: a key is malformed, or no tier holds ``key``.
            BrokerUnavailable, CacheUnavailable: nothing was declared, or not to the end.
        """
        await self._threads.run(self._sync.depend, key, on)

    def pin(self, key: str) -> None:
        """Keep a key in the memory of this process. Raises InvalidInput, QuotaExceeded."""
        self._sync.pin(key)

    def unpin(self, key: str) -> None:
        """Let a key be evicted again. Raises InvalidInput."""
        self._sync.unpin(key)

    def receipt(self, request_id: str) -> AsyncReceiptHandle:
        """The handle of a request that any process made."""
        return AsyncReceiptHandle(self._sync.receipt(request_id), self._threads)

    async def records(
        self,
        *,
        status: str | Iterable[str] = (),
        strategy: str | Iterable[str] = (),
        consistency: str | Iterable[str] = (),
        key: str = "",
        name: str = "",
        by: str = "",
        since_s: float | None = None,
    ) -> AsyncIterator[Receipt]:
        """What became of past requests, as ``Cache.records``: ``async for`` over receipts.

        Raises:
            InvalidInput: a condition is malformed.
            CacheUnavailable: the server can't be reached.
        """
        found = self._sync.records(
            status=status,
            strategy=strategy,
            consistency=consistency,
            key=key,
            name=name,
            by=by,
            since_s=since_s,
        )
        while some := await self._threads.run(lambda: list(islice(found, RECORDS_AT_ONCE))):
            for receipt in some:
                yield receipt

    def device(self, name: str) -> AsyncDevice:
        """The cache of a device, which reads files of the origin. Raises InvalidInput."""
        return AsyncDevice(self._sync.device(name), self._threads)

    async def warm(self, targets: str | Iterable[str]) -> WarmHandle:
        """Have files and keys ready, as ``Cache.warm``; the handle's calls are short and block.

        Loaders that are coroutines are not called: ``await namespace.warm(...)`` does that.

        Raises:
            InvalidInput: a target is malformed, or a key that nothing is known of.
            PendingFull: too many jobs are open already.
        """
        return await self._threads.run(self._sync.warm, targets)

    async def why(self, key: str) -> Why:
        """Where a key is held, what it was made from, what happened to it last."""
        return await self._threads.run(self._sync.why, key)

    async def preview(
        self,
        keys: str | Iterable[str] = (),
        *,
        tag: str | None = None,
        namespace: str | None = None,
        strategy: str = Strategy.IMMEDIATE,
        consistency: str = Consistency.EVENTUAL,
        cascade: bool = True,
        shown: int = PREVIEWED,
    ) -> Preview:
        """What ``invalidate`` would do, as ``Cache.preview``.

        Raises:
            InvalidInput: an argument is malformed.
            ConfigurationError: the packages of the extra ``app`` are not there.
            CacheUnavailable: the server can't be reached.
        """
        return await self._threads.run(
            self._sync.preview,
            keys,
            tag=tag,
            namespace=namespace,
            strategy=strategy,
            consistency=consistency,
            cascade=cascade,
            shown=shown,
        )

    def stats(self) -> dict[str, int]:
        """Reads of this process by the tier that answered, else ``loader`` or ``bypass``."""
        return self._sync.stats()

    async def close(self) -> None:
        """Leave, once what is being made is stored; memory serves nothing from here on."""
        cache, self._cache = self._cache, None
        if cache is not None:
            await self._reading.close()
            await self._threads.run(cache.close)
            await self._threads.close()

    async def __aenter__(self) -> Self:
        self._threads = Threads(self._size)
        self._reading = AsyncReading(self._threads)
        if self._cache is None:
            self._cache = await self._opened()
        return self

    async def __aexit__(self, *error: Any) -> None:
        await self.close()

    @property
    def _sync(self) -> Cache:
        if self._cache is None:
            raise ConfigurationError("not open: use `async with` or `await AsyncCache.open()`")
        return self._cache

    async def _opened(self) -> Cache:
        opening = self._threads.submit(Cache, self._settings)
        try:
            return await asyncio.wrap_future(opening)
        except BaseException:  # cancelled, too
            opening.add_done_callback(_close_unwanted)
            self._threads.abandon()
            raise


class AsyncDevice:
    """One device, as ``Device``; made by ``AsyncCache.device``."""

    def __init__(self, device: Device, threads: Threads) -> None:
        self.id = device.id
        self._device, self._threads = device, threads

    async def get(self, path: str) -> Read:
        """Read a file: the device's own copy if it is fresh, else through the tiers.

        Raises:
            InvalidInput: the path is malformed or leaves the origin.
            OriginMissing, OriginUnavailable: it is not held and can't be loaded.
        """
        return await self._threads.run(self._device.get, path)

    async def pin(self, path: str) -> int:
        """As ``Device.pin``."""
        return await self._threads.run(self._device.pin, path)

    async def unpin(self, path: str) -> bool:
        """As ``Device.unpin``."""
        return await self._threads.run(self._device.unpin, path)

    async def pins(self) -> dict[str, int]:
        """As ``Device.pins``."""
        return await self._threads.run(self._device.pins)

    async def ledger(self) -> Ledger:
        """Bytes used and reserved, and the counters."""
        return await self._threads.run(self._device.ledger)


def _close_unwanted(opening: Future[Cache]) -> None:
    """What was opened for a caller that had gone."""
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()
