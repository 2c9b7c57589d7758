"""A producer for asyncio; start `cachekeeper up` (or `make run`) first."""

import asyncio

from cachekeeper import AsyncCache

TEXT = {"bread": "Buy bread", "milk": "Buy milk"}  # stands for a database


async def main() -> None:
    async with AsyncCache() as cache:
        notes = cache.namespace("note")
        pages = cache.namespace("page", serializer="json")

        @notes.loader
        async def read_note(name: str) -> bytes:
            return TEXT[name].encode()

        @pages.loader
        async def make_page(_: str) -> list[str]:  # what it awaits here, its page depends on
            return [note.decode() for note in (await notes.get_many(TEXT)).values()]

        print(await pages.get("all"))
        TEXT["milk"] = "Buy oat milk"
        handle = await cache.invalidate("note:milk", consistency="strict")
        receipt = await handle.wait(10)
        print(receipt.status, receipt.affected)
        print(await pages.get("all"))


asyncio.run(main())
