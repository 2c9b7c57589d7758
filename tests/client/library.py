"""What the tests of the client share: a loop that ends, and a library of three levels."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from cachekeeper import AsyncCache
from cachekeeper.core.receipt import Receipt
from cachekeeper.core.strategy import Consistency, Strategy
from workers.wiring import Wiring

BOUND_S: Final = 20.0  # what does not end within it hangs
DONE_S: Final = 10.0

Result = TypeVar("Result")


def run(main: Callable[[], Awaitable[Result]]) -> Result:
    """Run a test on a loop of its own; one that hangs fails."""

    async def bounded() -> Result:
        async with asyncio.timeout(BOUND_S):
            return await main()

    return asyncio.run(bounded())


async def invalidated(cache: AsyncCache, wiring: Wiring, *keys: str) -> Receipt:
    """The receipt of a strict invalidation that a worker has carried out."""
    handle = await cache.invalidate(
        keys, strategy=Strategy.SCHEDULED, consistency=Consistency.STRICT
    )
    await asyncio.to_thread(wiring.flusher.flush, Strategy.SCHEDULED, 10)
    return await handle.wait(DONE_S)


class Library:
    """Three levels: a book is made of two pages, a page of two notes, a note of the truth."""

    def __init__(self, cache: AsyncCache) -> None:
        self.truth, self.loaded = "old", Counter[str]()
        self.notes = cache.namespace("note")
        self.pages = cache.namespace("page", serializer="json")
        self.books = cache.namespace("book", serializer="json")
        self.notes.loader(self.read_note)
        self.pages.loader(self.make_page)
        self.books.loader(self.make_book)

    def read_note(self, name: str) -> bytes:
        """In a thread of the pool."""
        self.loaded[f"note:{name}"] += 1
        return self.truth.encode()

    async def make_page(self, name: str) -> list[str]:
        """On the loop."""
        self.loaded[f"page:{name}"] += 1
        notes = await self.notes.get_many([f"{name}/left", f"{name}/right"])
        return [note.decode() for note in notes.values()]

    async def make_book(self, name: str) -> list[list[str]]:
        """On the loop; neighbours share a page."""
        self.loaded[f"book:{name}"] += 1
        return list((await self.pages.get_many([name, str(int(name) + 1)])).values())
