"""The client for asyncio beside its reads: handles, units of work, pins, devices, its life."""

from __future__ import annotations

import asyncio
import socket
import threading
from pathlib import Path

import pytest

from cachekeeper import AsyncCache, InvalidInput
from cachekeeper.core.receipt import Status
from cachekeeper.core.strategy import Strategy
from cachekeeper.errors import CacheUnavailable, ConfigurationError, QuotaExceeded, ReceiptTimeout
from cachekeeper.settings import Settings
from cachekeeper.testing import MemoryCache
from tests.client.library import DONE_S, Library, run
from workers.wiring import Wiring


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
                assert await phone.pin("a.jpg") == len(b"photo")
                assert await phone.pins() == {"a.jpg": len(b"photo")}
                assert await phone.unpin("a.jpg")

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


class TestUnitsOfWork:
    """As those of ``Cache``."""

    def test_a_commit_has_it_done(self, site: Settings, wiring: Wiring) -> None:
        async def main() -> None:
            async with AsyncCache(site) as cache:
                unit = cache.unit_of_work(strategy=Strategy.SCHEDULED, reason="saved")
                async with unit as work:
                    await work.invalidate(["note:a"], tag="x")
                    assert not work.prepared
                    await work.prepare()
                    assert work.prepared
                    assert wiring.cache.stores.prepared.waiting() == (1, 0)
                (handle,) = work.receipts
                assert [again.id for again in await work.commit()] == [handle.id]
                await asyncio.to_thread(wiring.flusher.flush, Strategy.SCHEDULED, 10)
                receipt = await handle.wait(DONE_S)
                assert (receipt.names, receipt.reason) == (["note:a", "x"], "saved")

        run(main)

    def test_a_rollback_and_an_error_before_prepare_take_it_back(
        self, site: Settings, wiring: Wiring
    ) -> None:
        async def main() -> None:
            async with AsyncCache(site) as cache:
                work = cache.unit_of_work()
                await work.invalidate("note:a")
                await work.prepare()
                await work.rollback()
                failing = cache.unit_of_work()
                await failing.invalidate("note:a")
                with pytest.raises(ZeroDivisionError):
                    async with failing:
                        raise ZeroDivisionError
                assert work.receipts == failing.receipts == []
                assert wiring.cache.stores.prepared.waiting() == (0, 0)
                with pytest.raises(InvalidInput, match="deadline_s"):
                    cache.unit_of_work(deadline_s=-1)

        run(main)
