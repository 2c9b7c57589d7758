"""The namespaces of the checker, in a ``Cache`` and in an ``AsyncCache``: the same loaders."""

from __future__ import annotations

import asyncio
import random
import time
from contextvars import ContextVar
from typing import Any, Final

from cachekeeper.client.aio import AsyncCache
from cachekeeper.client.cache import Cache
from tests.chaos.coherence.world import (
    HOT,
    INPUTS,
    KEYS,
    SOURCE_OF,
    SOURCE_TTL_S,
    Register,
    compose,
    pause_s,
    source_key,
)

NAMES: Final = tuple(dict.fromkeys(key.partition(":")[0] for key in KEYS))
#: Namespaces whose values have a tag: those of sources. Those of the hot ones expire soon.
TAGGED: Final = {key.partition(":")[0] for key in SOURCE_OF}
SHORT: Final = {source_key(source).partition(":")[0] for source in range(HOT)}


def _declare(cache: Cache | AsyncCache, name: str) -> Any:
    ttl_s = SOURCE_TTL_S if name in SHORT else None
    # Every second one lives longer for being read: those that are short, up to 15 minutes of them.
    ttl_class = "metadata" if name in SHORT or NAMES.index(name) % 2 else None
    space = cache.namespace(name, ttl_s=ttl_s, ttl_class=ttl_class, on_disk=name == "big")
    if name in TAGGED:
        space.tags(lambda rest: (f"of-{name}:{rest}",))
    return space


class Spaces:
    """Reads and fills every key through a ``Cache``."""

    def __init__(self, cache: Cache, register: Register, chance: random.Random) -> None:
        self._register, self._chance = register, chance
        self._spaces = {name: _declare(cache, name) for name in NAMES}
        for name, space in self._spaces.items():
            space.loader(lambda rest, name=name: self._make(f"{name}:{rest}"))

    def get(self, key: str) -> bytes:
        """Read through all tiers."""
        name, _, rest = key.partition(":")
        body: bytes = self._spaces[name].get(rest)
        return body

    def fill(self, key: str) -> tuple[bytes, bool]:
        """Make a value as its loader would, and store it; whether it was not refused."""
        name, _, rest = key.partition(":")
        with self._spaces[name].fill(rest) as filling:
            body = self._make(key)
            return body, filling.put(body)

    def _make(self, key: str) -> bytes:
        inputs = [self.get(name) for name in INPUTS.get(key, ())]
        body = compose(key, inputs, self._register)
        time.sleep(pause_s(key, self._chance))
        return body


class AsyncSpaces:
    """The same through an ``AsyncCache``."""

    def __init__(self, cache: AsyncCache, register: Register, chance: random.Random) -> None:
        self._register, self._chance = register, chance
        self._made: ContextVar[list[str] | None] = ContextVar("made", default=None)
        self._spaces = {name: _declare(cache, name) for name in NAMES}
        for name, space in self._spaces.items():
            space.loader(self._loader(name))

    def watch(self) -> list[str]:
        """A list of the keys that loaders make from here on, for what the caller reads."""
        made: list[str] = []
        self._made.set(made)
        return made

    async def get(self, key: str) -> bytes:
        """Read through all tiers."""
        name, _, rest = key.partition(":")
        body: bytes = await self._spaces[name].get(rest)
        return body

    async def fill(self, key: str) -> tuple[bytes, bool]:
        """Make a value as its loader would, and store it; whether it was not refused."""
        name, _, rest = key.partition(":")
        async with self._spaces[name].fill(rest) as filling:
            body = await self._make(key)
            return body, await filling.put(body)

    def _loader(self, name: str) -> Any:
        async def load(rest: str) -> bytes:
            return await self._make(f"{name}:{rest}")

        return load

    async def _make(self, key: str) -> bytes:
        if (made := self._made.get()) is not None:
            made.append(key)
        # All at once: what is read is noted for this loader, whichever task reads it.
        inputs = await asyncio.gather(*map(self.get, INPUTS.get(key, ())))
        body = compose(key, inputs, self._register)
        await asyncio.sleep(pause_s(key, self._chance))
        return body
