"""A namespace whose loader and reads are awaited."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from cachekeeper.client.aio_reading import AsyncFill, AsyncReading, Threads
from cachekeeper.client.namespace import Namespace, in_memory
from cachekeeper.client.reading import Lookup
from cachekeeper.core.stamps import Entry

Loader = TypeVar("Loader", bound=Callable[[str], Any])


class AsyncNamespace:
    """As ``Namespace``; made by ``AsyncCache.namespace``."""

    def __init__(self, namespace: Namespace, reading: AsyncReading, threads: Threads) -> None:
        self.name = namespace.name
        self._namespace, self._reading, self._threads = namespace, reading, threads
        self._loader: Callable[[str], Any] | None = None  # when it is to be awaited

    def loader(self, function: Loader) -> Loader:
        """Decorator: the function that makes a value from the part of the key after the colon.

        A coroutine function runs on the event loop, and what it awaits of this cache, it depends
        on; any other function runs in a thread of the pool.
        """
        if _is_awaited(function):
            self._loader = function
        else:
            self._loader = None
            self._namespace.loader(function)
        return function

    def tags(self, function: Callable[[str], tuple[str, ...]]) -> Callable[[str], tuple[str, ...]]:
        """Decorator: the function that gives the tags of a value; it must not block."""
        return self._namespace.tags(function)

    def key(self, rest: str) -> str:
        """The full key. Raises InvalidInput."""
        return self._namespace.key(rest)

    async def get(self, rest: str) -> Any:
        """The value; at once from memory, else from a tier, else made by the loader.

        Cancelling it leaves the loader at work, and its value is stored.

        Raises:
            InvalidInput: the key is malformed, the namespace has no loader, or the loader reads
                the key that it is to make.
            CacheUnavailable: the server is down, and too many loaders are at work already.
        """
        sync = self._namespace
        entry = sync.hit(rest)
        if entry is None:
            entry = await self.entry(rest)
        elif sync.watched and sync.reading.is_due(sync.key(rest), entry):
            entry = await self._early(rest, entry)
        return sync.serializer.load(entry.body)

    async def entry(self, rest: str) -> Entry:
        """As ``get``, with the stamp and before deserialization."""
        sync = self._namespace
        return await self._reading.get(
            sync.key(rest), sync.reading, lambda: sync.recipe(rest), lambda: self._load(rest)
        )

    async def get_many(self, rests: Iterable[str]) -> dict[str, Any]:
        """The values by their names, as ``get``, all at the same time."""
        names = list(dict.fromkeys(rests))
        return dict(zip(names, await asyncio.gather(*map(self.get, names)), strict=True))

    async def lookup(self, rest: str) -> Lookup:
        """Whether a tier holds the value fresh, which, and how old it is; no loader is called.

        Raises:
            InvalidInput: the key is malformed.
            CacheUnavailable: the server can't be reached.
        """
        return await self._threads.run(self._namespace.lookup, rest)

    def fill(self, rest: str) -> AsyncFill:
        """Store a value of one's own making.

        ``async with ns.fill(name) as fill: await fill.put(value)``

        Raises:
            InvalidInput: the key is malformed.
        """
        sync = self._namespace
        return AsyncFill(
            sync.key(rest), sync.reading, sync.recipe(rest), sync.serializer.dump, self._threads
        )

    async def warm(self, rests: Iterable[str], *, at_once: int = 4) -> int:
        """Have values ready, ``at_once`` loaders at a time; returns how many were not."""
        room = asyncio.Semaphore(at_once)

        async def warmed(rest: str) -> bool:
            async with room:
                cold = (await self.lookup(rest)).state != "fresh"
                if cold:
                    await self.entry(rest)
                return cold

        return sum(await asyncio.gather(*map(warmed, dict.fromkeys(rests))))

    async def _early(self, rest: str, entry: Entry) -> Entry:
        sync, found = self._namespace, in_memory(entry)
        made = await self._reading.early(
            sync.key(rest), sync.reading, found, lambda: sync.recipe(rest), lambda: self._load(rest)
        )
        return made.entry

    async def _load(self, rest: str) -> bytes:
        if self._loader is None:
            return await self._threads.run(self._namespace.recipe(rest).load)
        return self._namespace.serializer.dump(await self._loader(rest))


def _is_awaited(function: Callable[[str], Any]) -> bool:
    call = getattr(function, "__call__", None)  # noqa: B004  # of an object, it may be a coroutine
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(call)
