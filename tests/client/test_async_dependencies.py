"""What is awaited inside a loader or a fill, the value depends on."""

from __future__ import annotations

from cachekeeper import AsyncCache
from cachekeeper.settings import Settings
from tests.client.library import Library, invalidated, run
from workers.wiring import Wiring


class TestDependencies:
    """What is awaited inside a loader or a fill, the value depends on."""

    def test_sources_travel_through_nested_loaders(self, site: Settings, wiring: Wiring) -> None:
        async def main() -> None:
            async with AsyncCache(site) as cache:
                library = Library(cache)
                await library.books.get("1")
                assert (await cache.why("book:1")).derived_from == ["page:1", "page:2"]
                assert (await cache.why("page:1")).derived_from == ["note:1/left", "note:1/right"]

                library.truth = "new"
                receipt = await invalidated(cache, wiring, "note:2/right")

                assert receipt.affected == ["note:2/right", "page:2", "book:1"]
                assert await library.books.get("1") == [["old", "old"], ["old", "new"]]
                assert library.loaded["page:1"] == 1
                assert library.loaded["page:2"] == 2

        run(main)

    def test_readers_at_the_same_time_do_not_mix_their_sources(self, site: Settings) -> None:
        async def main() -> None:
            async with AsyncCache(site) as cache:
                library = Library(cache)
                await library.pages.get_many(["1", "2", "3"])
                for name in ("1", "2", "3"):
                    stamp = (await library.pages.entry(name)).stamp
                    notes = {source for source in stamp.sources if source.startswith("k:")}
                    assert notes == {f"k:note:{name}/left", f"k:note:{name}/right"}

        run(main)

    def test_a_fill_is_fenced_and_depends_on_what_it_read(
        self, site: Settings, wiring: Wiring
    ) -> None:
        async def main() -> None:
            async with AsyncCache(site) as cache:
                library, titles = Library(cache), cache.namespace("title")
                async with titles.fill("a") as fill:
                    note = await library.notes.get("1/left")
                    assert await fill.put(note.upper())
                assert (await cache.why("title:a")).derived_from == ["note:1/left"]

                await invalidated(cache, wiring, "note:1/left")
                assert (await titles.lookup("a")).state != "fresh"

                async with titles.fill("a") as fill:
                    await invalidated(cache, wiring, "title:a")
                    assert not await fill.put(b"read before"), "it is stale already"

        run(main)

    def test_a_dependency_declared_after_the_fact(self, site: Settings, wiring: Wiring) -> None:
        async def main() -> None:
            async with AsyncCache(site) as cache:
                library = Library(cache)
                await library.notes.get_many(["a", "b"])
                await cache.depend("note:a", on="note:b")
                library.truth = "new"
                await invalidated(cache, wiring, "note:b")
                assert await library.notes.get("a") == b"new"

        run(main)
