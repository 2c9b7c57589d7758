"""Values that are made anew before they expire: by one reader, while all others are served."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from cachekeeper import AsyncCache, Cache
from cachekeeper.client.namespace import Namespace
from cachekeeper.client.reading import REST_S
from cachekeeper.settings import Settings
from cachekeeper.testing import MemoryCache
from tests.contract.conftest import marked
from tests.support import but, wait_until

#: With a loader of this length and the largest beta, nearly every read of a value that lives for
#: five seconds is one that makes it anew.
LOAD_S, LIVES_S, BETA = 0.5, 5, 100.0


@pytest.fixture
def settings(here: Settings) -> Settings:
    return but(here, ttl_min_s=1, early_refresh_beta=BETA, lease_s=1)


class Source:
    """A loader that counts, and can be held or made to fail."""

    def __init__(self) -> None:
        self.loads, self.fails = 0, False
        self.began, self.may_end = threading.Event(), threading.Event()
        self.may_end.set()

    def __call__(self, _: str) -> bytes:
        self.loads += 1
        number = self.loads
        if number == 1:
            time.sleep(LOAD_S)  # the time that it takes is what is measured
            return b"1"
        self.began.set()
        assert self.may_end.wait(10)
        if self.fails:
            raise OSError("the origin is away")
        return str(number).encode()


@pytest.fixture
def source() -> Source:
    return Source()


def declared(cache: Cache, source: Source) -> Namespace:
    pages = cache.namespace("page", ttl_s=LIVES_S)
    pages.loader(source)
    return pages


@pytest.fixture(params=["memory", "redis"])
def pages(
    settings: Settings, source: Source, request: pytest.FixtureRequest
) -> Iterator[Namespace]:
    """Read from either tier."""
    given = settings if request.param == "memory" else but(settings, memory_bytes=0)
    with Cache(given) as cache:
        yield declared(cache, source)


def took(pages: Namespace) -> float:
    """How long the loader of the stored value took."""
    found = pages.reading._shared[0].read("page:a")
    assert found is not None
    return found.entry.load_s


def until_early(pages: Namespace, source: Source, loads: int = 2) -> None:
    """Read, in a thread of its own, until a loader is at work for it."""

    def read() -> None:
        while source.loads < loads:
            pages.get("a")

    threading.Thread(target=read, daemon=True).start()
    wait_until(lambda: source.loads >= loads, 4)


def test_a_value_is_made_anew_before_it_expires(pages: Namespace, source: Source) -> None:
    begin = time.monotonic()
    assert pages.get("a") == b"1"
    assert took(pages) >= LOAD_S
    wait_until(lambda: pages.get("a") == b"2", 4)
    assert time.monotonic() - begin < LIVES_S
    assert took(pages) < LOAD_S / BETA, "and is quick now: nobody is in a hurry any more"
    for _ in range(100):
        pages.get("a")
    assert source.loads == 2


def test_all_others_are_served_meanwhile_and_nobody_else_loads(
    pages: Namespace, source: Source
) -> None:
    pages.get("a")
    source.may_end.clear()
    until_early(pages, source)
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: pages.get("a"), range(400))) == {b"1"}
    assert source.loads == 2
    source.may_end.set()
    wait_until(lambda: pages.get("a") != b"1", 4)


def test_a_loader_that_fails_early_leaves_the_valid_value(
    pages: Namespace, source: Source, caplog: pytest.LogCaptureFixture
) -> None:
    pages.get("a")
    source.fails = True
    begin = time.monotonic()
    assert {pages.get("a") for _ in range(100)} == {b"1"}
    tried = source.loads - 1
    assert 1 <= tried <= 1 + (time.monotonic() - begin) / REST_S, "it is left alone for a moment"
    assert "not_made_early key=page:a" in caplog.text
    source.fails = False
    wait_until(lambda: pages.get("a") != b"1", 3)
    assert source.loads == tried + 2


def test_an_invalidation_is_not_outrun(pages: Namespace, source: Source) -> None:
    """A loader that began before it, and ends after it, stores nothing."""
    pages.get("a")
    source.may_end.clear()
    until_early(pages, source)
    marked(pages.reading._marks, "page:a")
    source.may_end.set()
    wait_until(lambda: pages.get("a") == b"3", 4)


def test_what_another_process_made_anew_is_taken_and_not_made_again(
    settings: Settings, source: Source
) -> None:
    with Cache(settings) as one, Cache(settings) as other:
        mine, theirs = declared(one, source), declared(other, Source())
        mine.get("a")
        copy = one._memory.read("page:a")
        assert copy is not None
        with theirs.fill("a") as fill:  # as by its loader; this node's copy is none the wiser
            assert fill.put(b"theirs")
        assert mine.reading.newer("page:a", copy) is not None
        mine.reading._tiers[0].remove(["page:a"])
        assert mine.reading._tiers[0].fill("page:a", copy) is not None
        wait_until(lambda: mine.get("a") == b"theirs", 4)
        assert source.loads == 1


def test_what_is_derived_from_it_depends_on_what_was_made_anew(
    settings: Settings, source: Source
) -> None:
    with Cache(but(settings, memory_bytes=0)) as cache:
        pages, above = declared(cache, source), cache.namespace("above")
        above.loader(lambda name: b"of " + pages.get(name))
        pages.get("a")

        def made() -> bytes:
            marked(cache.stores.marks, "above:a")
            return bytes(above.get("a"))

        wait_until(lambda: made() == b"of 2", 4)
        marked(cache.stores.marks, "page:a")
        assert above.get("a") == b"of 3"


def test_without_the_setting_nothing_is_early(settings: Settings, source: Source) -> None:
    with Cache(but(settings, early_refresh_beta=0.0)) as cache:
        pages = declared(cache, source)
        pages.get("a")
        for _ in range(300):
            assert pages.get("a") == b"1"
        assert not pages.watched


def test_on_an_event_loop_too(settings: Settings) -> None:
    loads, hold = 0, asyncio.Event()

    async def load(_: str) -> bytes:
        nonlocal loads
        loads += 1
        number = loads
        await (asyncio.sleep(LOAD_S) if number == 1 else hold.wait())
        if number == 2:
            raise OSError("the origin is away")
        return str(number).encode()

    async def main() -> None:
        async with AsyncCache(settings) as cache:
            pages = cache.namespace("page", ttl_s=LIVES_S)
            pages.loader(load)
            assert await pages.get("a") == b"1"
            reading = [asyncio.create_task(pages.get("a"))]
            while loads < 2:
                reading.append(asyncio.create_task(pages.get("a")))
                await asyncio.sleep(0.001)
            assert await asyncio.gather(*[pages.get("a") for _ in range(50)]) == [b"1"] * 50
            assert loads == 2
            hold.set()
            assert set(await asyncio.gather(*reading)) == {b"1"}, "it failed: the valid one"
            async with asyncio.timeout(4):
                while await pages.get("a") != b"3":  # noqa: ASYNC110  # nothing tells of it
                    await asyncio.sleep(0.01)

    asyncio.run(main())


def test_the_testing_kit_has_it_too(source: Source) -> None:
    settings = Settings.model_construct(ttl_min_s=1, early_refresh_beta=BETA)
    with MemoryCache(settings) as cache:
        pages = declared(cache, source)
        assert pages.get("a") == b"1"
        wait_until(lambda: pages.get("a") == b"2", 4)
