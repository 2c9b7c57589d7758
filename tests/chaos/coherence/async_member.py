"""A member whose process is an event loop: many reads through one ``AsyncCache`` at a time.

Its command line is that of ``member``.
"""

from __future__ import annotations

import asyncio
import random
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from cachekeeper.client.aio import AsyncCache
from cachekeeper.errors import CachekeeperError
from tests.chaos.coherence.declarer import Declarer, DeclaringCache
from tests.chaos.coherence.history import Complaints, How, ReadLog
from tests.chaos.coherence.member import BURST, COLD, FILL
from tests.chaos.coherence.process import begin
from tests.chaos.coherence.spaces import AsyncSpaces
from tests.chaos.coherence.world import (
    DECLARED,
    HOT,
    HOT_KEYS,
    INPUTS,
    KEYS,
    NUMBER_OF,
    ON_DISK,
    Register,
    unpack,
)

READERS: Final = 4
#: Share of reads whose caller stops waiting, and when.
GIVEN_UP, GIVEN_UP_S = 0.02, 0.003
DECLARE_S: Final = 0.02


class AsyncMember:
    """Reads until told to stop."""

    def __init__(
        self,
        cache: AsyncCache,
        declaring: DeclaringCache,
        folder: Path,
        name: str,
        chance: random.Random,
        pause_s: float,
    ) -> None:
        self._cache, self._declaring = cache, declaring
        self._random, self._pause_s = chance, pause_s
        self._spaces = AsyncSpaces(cache, Register(folder / "register"), chance)
        self._log = ReadLog(folder, name)
        self._declarer = Declarer(folder, name, chance)
        self._stop, self._complaints = False, Complaints()

    async def run(self) -> None:
        """Read, fill and declare."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self._told_to_stop)
        await asyncio.gather(*(self._read_on() for _ in range(READERS)), self._declare_on())
        self._log.flush()

    def _told_to_stop(self) -> None:
        self._stop = True

    async def _read_on(self) -> None:
        while not self._stop:
            for _ in range(BURST // READERS):
                await (self._fill() if self._random.random() < FILL else self._read())
            await asyncio.sleep(self._random.uniform(0.2, 1.8) * self._pause_s)

    async def _read(self) -> None:
        hot = self._random.random() >= COLD
        at = self._random.randrange(HOT_KEYS if hot else len(KEYS))
        made = self._spaces.watch()
        before = self._cache.stats()["bypass"]
        waited: list[bool] = []
        asyncio.get_running_loop().call_soon(waited.append, True)
        begin = time.monotonic()
        try:
            async with asyncio.timeout(GIVEN_UP_S if self._random.random() < GIVEN_UP else None):
                body = await self._spaces.get(KEYS[at])
        except TimeoutError:
            self._log.add(begin, time.monotonic(), at, How.GIVEN_UP, 0, None)
            return
        except Exception as error:
            self._failed(begin, at, error)
            return
        end = time.monotonic()
        if not waited:  # the loop has not turned: memory answered
            how = How.MEMORY
        elif KEYS[at] in made:
            how = How.LOADER if self._cache.stats()["bypass"] == before else How.BYPASS
        else:
            how = How.DISK if at in ON_DISK else How.REDIS
        self._log.add(begin, end, at, how, 0, body)
        self._declarer.saw(KEYS[at], body)

    async def _fill(self) -> None:
        at = self._random.randrange(self._random.choice((HOT, HOT_KEYS)))  # more of sources
        begin = time.monotonic()
        try:
            body, stored = await self._spaces.fill(KEYS[at])
        except Exception as error:
            self._failed(begin, at, error)
            return
        how = How.FILLED if stored else How.REFUSED
        self._log.add(begin, time.monotonic(), at, how, 0, body)

    async def _declare_on(self) -> None:
        while not self._stop:
            with suppress(CachekeeperError):
                await self._declare()
            await asyncio.to_thread(self._declarer.look)
            await asyncio.sleep(DECLARE_S)

    async def _declare(self) -> None:
        if (due := self._declarer.due()) is None:
            return
        (key, number), on = due, DECLARED[due[0]]
        await self._spaces.get(on)
        graph = self._declaring.stores.graph
        known = on not in INPUTS or bool(await asyncio.to_thread(graph.inputs, on))
        if known and await self._number(key) == number:
            called = time.monotonic()
            await self._cache.depend(key, on)
            if await self._number(key) == number:  # so it was this value and no other
                self._declarer.declared(key, number, called, self._declaring.asked)

    async def _number(self, key: str) -> int:
        return unpack(await self._spaces.get(key))[NUMBER_OF[key]]

    def _failed(self, begin: float, at: int, error: Exception) -> None:
        self._log.add(begin, time.monotonic(), at, How.ERROR, 0, None)
        self._complaints.add(error)


async def run(folder: Path, name: str, seed: int, pause_s: float) -> None:
    """Be a member."""
    declaring = DeclaringCache()
    async with AsyncCache(cache=declaring) as cache:
        chance = random.Random(seed)
        await AsyncMember(cache, declaring, folder, name, chance, pause_s).run()


def main() -> None:
    """Be a member."""
    folder, name, seed, pause_s = sys.argv[1:]
    begin()
    asyncio.run(run(Path(folder), name, int(seed), float(pause_s)))


if __name__ == "__main__":
    main()
