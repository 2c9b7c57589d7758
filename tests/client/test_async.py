"""The client for asyncio, on a real server: the rules of ``Cache``, and no thread held in vain."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest

from cachekeeper import AsyncCache, InvalidInput
from cachekeeper.client.reading import LOADERS_AT_ONCE
from cachekeeper.core.receipt import Receipt, Status
from cachekeeper.core.strategy import Consistency, Strategy
from cachekeeper.errors import CacheUnavailable, ConfigurationError, QuotaExceeded, ReceiptTimeout
from cachekeeper.local.server import EmbeddedServer
from cachekeeper.settings import Settings
from cachekeeper.testing import MemoryCache
from tests.support import unused_port
from workers.wiring import Wiring

BOUND_S = 20.0  # what does not end within it hangs
DONE_S = 10.0

Result = TypeVar("Result")


def run(main: Callable[[], Awaitable[Result]]) -> Result:
    """Run a test on a loop of its own; one that hangs fails."""

    async def bounded() -> Result:
        async with asyncio.timeout(BOUND_S):
            return await main()

    return asyncio.run(bounded())


@pytest.fixture
def site(server_url: str, deployment: str, tmp_path: Path) -> Settings:
    """A deployment of the test's own; what is sent to its workers nobody takes."""
    return Settings(
        cache_url=server_url,
        broker_url=server_url,
        deployment=deployment,
        state=tmp_path / "state",
        lease_s=0.4,  # a client takes up to a quarter of it to leave
        prefetch_neighbours=0,
    )


@pytest.fixture
def wiring(site: Settings) -> Iterator[Wiring]:
    """What a worker of the deployment does."""
    wiring = Wiring(site)
    yield wiring
    wiring.cache.close()


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


class TestTheRest:
    """Handles, pins, devices; opening and closing."""

    def test_a_handle_is_awaited(self, site: Settings, wiring: Wiring) -> None:
        async def main() -> None:
            async with AsyncCache(site, threads=1) as cache:
                handle = await cache.invalidate(tag="red", strategy="scheduled", reason="a test")
                with pytest.raises(ReceiptTimeout, match=handle.id):
                    await handle.wait(0.01)
                waiting = [asyncio.create_task(handle.wait(DONE_S)) for _ in range(3)]
                assert (await handle.read()).status is Status.PENDING, "waiting holds no thread"
                await asyncio.to_thread(wiring.flusher.flush, Strategy.SCHEDULED, 10)
                receipts = await asyncio.gather(*waiting, cache.receipt(handle.id).wait(DONE_S))
                assert {(r.status, r.reason) for r in receipts} == {(Status.DONE, "a test")}

        run(main)

    def test_pins(self, site: Settings) -> None:
        async def main() -> None:
            small = site.model_copy(update={"memory_bytes": 10_000})
            async with AsyncCache(small) as cache:
                notes = cache.namespace("note")
                notes.loader(lambda _: bytes(6000))
                await notes.get("a")
                with pytest.raises(QuotaExceeded):
                    cache.pin("note:a")
                cache.unpin("note:a")

        run(main)

    def test_devices(self, site: Settings, tmp_path: Path) -> None:
        async def main() -> None:
            (origin := tmp_path / "origin").mkdir()
            (origin / "a.jpg").write_bytes(b"photo")
            async with AsyncCache(site.model_copy(update={"origin": origin})) as cache:
                phone = cache.device("phone")
                assert (await phone.get("a.jpg")).body == b"photo"
                assert (await phone.ledger()).used == len(b"photo")

        run(main)

    def test_opening_does_not_hold_up_the_loop(self, site: Settings) -> None:
        async def main() -> None:
            with socket.create_server(("127.0.0.1", 0)) as mute:
                mute.setblocking(False)
                url = f"redis://127.0.0.1:{mute.getsockname()[1]}/0"
                there = site.model_copy(update={"cache_url": url})
                opening = asyncio.create_task(AsyncCache.open(there))
                accepted, _ = await asyncio.get_running_loop().sock_accept(mute)
            accepted.close()  # only now: until here it waited for an answer
            with pytest.raises(CacheUnavailable):
                await opening

        run(main)

    def test_an_opening_that_nobody_waits_for_leaves_nothing_open(self, site: Settings) -> None:
        others = set(threading.enumerate())

        async def main() -> None:
            opening = asyncio.create_task(AsyncCache.open(site))
            await asyncio.sleep(0)  # it has begun
            opening.cancel()
            with pytest.raises(asyncio.CancelledError):
                await opening

        run(main)
        for thread in set(threading.enumerate()) - others:
            thread.join(DONE_S)
            assert not thread.is_alive(), thread.name

    def test_it_is_used_between_opening_and_closing_only(self, site: Settings) -> None:
        async def main() -> None:
            cache = AsyncCache(site)
            with pytest.raises(ConfigurationError, match="not open"):
                cache.namespace("note")
            async with cache:
                cache.namespace("note")
            await cache.close()
            with pytest.raises(ConfigurationError, match="not open"):
                await cache.invalidate("note:a")

        run(main)

    def test_over_the_testing_kit(self) -> None:
        async def main() -> None:
            async with AsyncCache(cache=MemoryCache()) as cache:
                library = Library(cache)
                await library.books.get("1")
                library.truth = "new"
                receipt = await (await cache.invalidate("note:1/left")).wait(DONE_S)
                assert receipt.affected == ["note:1/left", "page:1", "book:1"]
                assert await library.books.get("1") == [["new", "old"], ["old", "old"]]

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
