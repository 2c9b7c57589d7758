"""Read-through on an event loop: what asks a server runs in a few threads, loaders on the loop.

The rules are those of ``ReadThrough``; here is only their order. No thread is held while a loader
is awaited, so loaders may nest to any depth in a pool of any size.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from contextvars import copy_context
from functools import partial
from typing import Any, ParamSpec, Self, TypeVar

from cachekeeper.client.flights import AsyncFlights
from cachekeeper.client.reading import (
    LOADERS_AT_ONCE,
    WAIT_FOR_ROOM_S,
    ReadThrough,
    Recipe,
    made,
)
from cachekeeper.client.sources import Input, collecting, is_collecting, note
from cachekeeper.core.stamps import POISON, Entry, Found, Moment
from cachekeeper.errors import CacheUnavailable

Result = TypeVar("Result")
Given = ParamSpec("Given")
Load = Callable[[], Awaitable[bytes]]


class Threads:
    """A bounded pool of threads, called from an event loop."""

    def __init__(self, size: int) -> None:
        self._pool = ThreadPoolExecutor(size, thread_name_prefix="cachekeeper")

    def submit(
        self, function: Callable[Given, Result], *args: Given.args, **named: Given.kwargs
    ) -> Future[Result]:
        """Call a function in a thread, within the context variables of the caller."""
        return self._pool.submit(copy_context().run, partial(function, *args, **named))

    async def run(
        self, function: Callable[Given, Result], *args: Given.args, **named: Given.kwargs
    ) -> Result:
        """The same, awaited. Cancelled, it is not begun, or goes on to its end unobserved."""
        return await asyncio.wrap_future(self.submit(function, *args, **named))

    async def close(self) -> None:
        """Wait until every call has ended."""
        await asyncio.to_thread(self._pool.shutdown)

    def abandon(self) -> None:
        """Begin no call any more; those that are on their way end by themselves."""
        self._pool.shutdown(wait=False)


class AsyncReading:
    """The order of a read; made by ``AsyncCache``, for one event loop."""

    def __init__(self, threads: Threads) -> None:
        self._threads = threads
        self._flights = AsyncFlights()
        self._room = asyncio.BoundedSemaphore(LOADERS_AT_ONCE)
        self._fills: set[asyncio.Task[Found]] = set()

    async def get(
        self, key: str, reading: ReadThrough, recipe: Callable[[], Recipe], load: Load
    ) -> Entry:
        """As ``ReadThrough.get``; ``load`` stands for the loader of the recipe.

        A value that is being made is made to its end and stored, whoever stops waiting for it.

        Raises:
            InvalidInput: the loader of the key reads the key.
            CacheUnavailable: the server is down, and too many loaders are at work already.
        """
        self._flights.check(key)
        try:
            found = await self._threads.run(reading.peek, key)
            if found is None:
                found = await self._to_the_end(self._make(key, reading, recipe(), load))
            else:
                reading.count(key, found.entry)
                if reading.is_due(key, found.entry):
                    found = await self.early(key, reading, found, recipe, load)
        except CacheUnavailable:
            reading.statistics.count("bypass")
            with self._flights.alone(key):
                found = await self._bypass(recipe(), load)
        note(key, found)
        return found.entry

    async def early(
        self,
        key: str,
        reading: ReadThrough,
        found: Found,
        recipe: Callable[[], Recipe],
        load: Load,
    ) -> Found:
        """As ``ReadThrough.early``."""
        return await self._to_the_end(self._make_early(key, reading, found, recipe, load))

    async def close(self) -> None:
        """Wait until nothing is being made any more."""
        while self._fills:
            await asyncio.wait(self._fills)

    async def _to_the_end(self, making: Coroutine[Any, Any, Found]) -> Found:
        task = asyncio.create_task(making)
        self._fills.add(task)
        task.add_done_callback(self._fills.discard)
        return await asyncio.shield(task)

    async def _make(self, key: str, reading: ReadThrough, recipe: Recipe, load: Load) -> Found:
        def held_or_now() -> Found | Moment:
            return reading.peek_counted(key) or reading.now()

        async with self._flights.only_one(key):
            held = await self._threads.run(held_or_now)
            if isinstance(held, Found):
                return held
            return await self._load(key, reading, recipe, load, held)

    async def _make_early(
        self,
        key: str,
        reading: ReadThrough,
        found: Found,
        recipe: Callable[[], Recipe],
        load: Load,
    ) -> Found:
        with self._flights.unless_under_way(key) as is_ours:
            if not is_ours:
                return found
            try:
                made_anew = await self._threads.run(reading.newer, key, found)
                if made_anew is None:
                    as_of = await self._threads.run(reading.now)
                    made_anew = await self._load(key, reading, recipe(), load, as_of)
            except Exception as error:  # whatever a loader raises: there is a valid value
                reading.failed_early(key, error)
                return found
        return found if made_anew.moment == POISON else made_anew

    async def _load(
        self, key: str, reading: ReadThrough, recipe: Recipe, load: Load, as_of: Moment
    ) -> Found:
        begin = time.perf_counter()
        with collecting() as inputs:
            body = await load()
        load_s = time.perf_counter() - begin
        reading.statistics.count("loader")
        found, inputs = made(body, recipe, as_of, inputs, load_s), dict(inputs)
        with suppress(CacheUnavailable):  # lost to the tiers, not to the reader
            stored = await self._threads.run(reading.keep, key, found, inputs)
            return stored or found
        return found

    async def _bypass(self, recipe: Recipe, load: Load) -> Found:
        """Make a value that is stored nowhere, and poisons what is derived from it."""
        nested = is_collecting()  # has its room already: waiting for more could be for ever
        if not nested:
            try:
                async with asyncio.timeout(WAIT_FOR_ROOM_S):
                    await self._room.acquire()
            except TimeoutError:
                busy = f"cache server: down, and {LOADERS_AT_ONCE} loaders at work"
                raise CacheUnavailable(busy) from None
        try:
            with collecting():
                return made(await load(), recipe, POISON, {})
        finally:
            if not nested:
                self._room.release()


class AsyncFill:
    """A fenced fill, as ``client.fill.Fill``; made by ``AsyncNamespace.fill``."""

    def __init__(
        self,
        key: str,
        reading: ReadThrough,
        recipe: Recipe,
        dump: Callable[[Any], bytes],
        threads: Threads,
    ) -> None:
        self._key, self._reading, self._recipe, self._dump = key, reading, recipe, dump
        self._threads = threads
        self._as_of: Moment
        self._inputs: dict[str, Input]
        self._collecting: AbstractContextManager[dict[str, Input]] = collecting()

    async def put(self, value: Any) -> bool:
        """Store the value; False when it is stale already.

        Raises:
            InvalidInput: the namespace's serializer can't write it.
            CacheUnavailable: the server can't be reached; nothing was stored.
        """
        found, inputs = self._made(value), dict(self._inputs)
        return await self._threads.run(self._reading.keep, self._key, found, inputs) is not None

    def _made(self, value: Any) -> Found:
        return made(self._dump(value), self._recipe, self._as_of, self._inputs)

    async def __aenter__(self) -> Self:
        self._as_of = await self._threads.run(self._reading.now)
        self._inputs = self._collecting.__enter__()
        return self

    async def __aexit__(self, *error: Any) -> None:
        self._collecting.__exit__(*error)
