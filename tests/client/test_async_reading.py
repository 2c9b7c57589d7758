"""Reads of the client for asyncio: the rules of ``Cache``, and no thread held in vain."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from functools import partial
from pathlib import Path

import pytest

from cachekeeper import AsyncCache, InvalidInput
from cachekeeper.client.reading import LOADERS_AT_ONCE
from cachekeeper.core.receipt import Status
from cachekeeper.local.server import EmbeddedServer
from cachekeeper.settings import Settings
from tests.client.library import BOUND_S, Library, invalidated, run
from tests.support import unused_port
from workers.wiring import Wiring


class TestReading:
    """From the tiers, else by a loader."""

    def test_what_memory_holds_needs_no_thread(self, site: Settings) -> None:
        async def main() -> None:
            async with AsyncCache(site, threads=1) as cache:
                notes = cache.namespace("note")
                began, go_on = threading.Event(), threading.Event()

                @notes.loader
                def load(name: str) -> bytes:
                    if name == "slow":
                        began.set()
                        assert go_on.wait(BOUND_S)
                    return name.encode()

                assert await notes.get("quick") == b"quick"
                slow = asyncio.create_task(notes.get("slow"))
                await asyncio.to_thread(began.wait, BOUND_S)
                assert await notes.get("quick") == b"quick", "the only thread is at work"
                go_on.set()
                assert await slow == b"slow"
                assert cache.stats()["memory"] == 1

        run(main)

    def test_many_readers_of_a_key_call_its_loader_once(self, site: Settings) -> None:
        async def main() -> None:
            async with AsyncCache(site) as cache:
                library = Library(cache)
                found = await asyncio.gather(*[library.books.get("1") for _ in range(32)])
                assert found == [[["old", "old"], ["old", "old"]]] * 32
                assert set(library.loaded.values()) == {1}

        run(main)

    def test_many_keys_are_made_at_the_same_time(self, site: Settings) -> None:
        names = ["a", "b", "c", "d", "e"]

        async def main() -> None:
            async with AsyncCache(site, threads=1) as cache:
                notes, all_here = cache.namespace("note"), asyncio.Barrier(len(names))

                @notes.loader
                async def load(name: str) -> bytes:
                    await all_here.wait()
                    return name.encode()

                found = await notes.get_many([*names, "a"])
                assert found == {name: name.encode() for name in names}

        run(main)

    @pytest.mark.parametrize("threads", [1, 4])
    def test_loaders_nest_deeper_than_there_are_threads(self, site: Settings, threads: int) -> None:
        async def main() -> None:
            async with AsyncCache(site, threads=threads) as cache:
                library = Library(cache)
                books = await asyncio.gather(*[library.books.get(str(i)) for i in range(64)])
                assert books == [[["old", "old"], ["old", "old"]]] * 64
                assert len(library.loaded) == 64 + 65 + 2 * 65
                assert set(library.loaded.values()) == {1}

        run(main)

    def test_a_reader_who_came_after_an_invalidation_gets_nothing_older(
        self, site: Settings, wiring: Wiring
    ) -> None:
        """It waits for the loader that is at work already, but does not take what that returns."""

        async def main() -> None:
            async with AsyncCache(site) as cache:
                notes, truth = cache.namespace("note"), [b"old"]
                began, go_on = asyncio.Event(), asyncio.Event()

                @notes.loader
                async def load(_: str) -> bytes:
                    seen = truth[0]
                    began.set()
                    await go_on.wait()
                    return seen

                before = asyncio.create_task(notes.get("a"))
                await began.wait()
                truth[0] = b"new"
                assert (await invalidated(cache, wiring, "note:a")).status is Status.DONE
                after = asyncio.create_task(notes.get("a"))
                go_on.set()
                assert await after == b"new"
                assert await before == b"old"

        run(main)

    def test_cancelling_a_reader_leaves_the_loader_at_work(self, site: Settings) -> None:
        async def main() -> None:
            cache = await AsyncCache.open(site)
            notes, calls = cache.namespace("note"), Counter[str]()
            began, go_on = asyncio.Event(), asyncio.Event()

            @notes.loader
            async def load(name: str) -> bytes:
                calls[name] += 1
                began.set()
                await go_on.wait()
                return b"value"

            reader = asyncio.create_task(notes.get("a"))
            await began.wait()
            reader.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reader
            go_on.set()
            assert await notes.get("a") == b"value"
            assert calls["a"] == 1

            began.clear()
            go_on.clear()
            reader = asyncio.create_task(notes.get("b"))
            await began.wait()
            reader.cancel()
            asyncio.get_running_loop().call_soon(go_on.set)
            await cache.close()  # waits for what is being made
            async with AsyncCache(site) as another:
                assert (await another.namespace("note").lookup("b")).state == "fresh"

        run(main)

    def test_a_loader_that_reads_its_own_key_is_told_so(self, site: Settings) -> None:
        async def main() -> None:
            async with AsyncCache(site) as cache:
                here, there = cache.namespace("here"), cache.namespace("there")
                here.loader(there.get)
                there.loader(here.get)
                with pytest.raises(InvalidInput, match="here:a"):
                    await here.get("a")

        run(main)

    def test_what_a_loader_raises_reaches_the_reader(self, site: Settings) -> None:
        async def main() -> None:
            async with AsyncCache(site) as cache:
                notes = cache.namespace("note")
                with pytest.raises(InvalidInput, match="a namespace with a loader"):
                    await notes.get("a")

                @notes.loader
                async def load(name: str) -> bytes:
                    raise LookupError(name)

                with pytest.raises(LookupError, match="a"):
                    await notes.get("a")
                with pytest.raises(InvalidInput, match="key"):
                    await notes.get("")

        run(main)

    def test_warm_look_up_and_tags(self, site: Settings) -> None:
        async def main() -> None:
            async with AsyncCache(site) as cache:
                library = Library(cache)

                @library.notes.tags
                def tags(name: str) -> tuple[str, ...]:
                    return (f"of {name.partition('/')[0]}",)

                assert (await library.notes.lookup("1/left")).state == "missing"
                assert await library.notes.warm(["1/left", "2/left", "1/left"]) == 2
                assert await library.notes.warm(["1/left", "3/left"], at_once=1) == 1
                assert (await library.notes.lookup("1/left")).tier == "memory"
                entry = await library.notes.entry("1/left")
                assert "t:of 1" in entry.stamp.sources
                assert library.notes.key("1/left") == "note:1/left"

        run(main)


def test_without_its_server_reads_go_to_the_loaders(site: Settings, tmp_path: Path) -> None:
    """More at once than there is room for, and nested: none waits for the room of another."""

    async def main() -> None:
        server = await asyncio.to_thread(
            partial(EmbeddedServer, tmp_path / "server", port=unused_port())
        )
        with server:
            there = site.model_copy(update={"cache_url": server.url})
            cache = await AsyncCache.open(there)
        library = Library(cache)
        names = [str(i) for i in range(2 * LOADERS_AT_ONCE)]
        assert len(await library.books.get_many(names)) == len(names)
        assert cache.stats()["bypass"] >= len(names)
        one, other = cache.namespace("here"), cache.namespace("there")
        one.loader(other.get)
        other.loader(one.get)
        with pytest.raises(InvalidInput, match="here:a"):
            await one.get("a")
        await cache.close()

    run(main)
