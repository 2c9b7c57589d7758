"""Loaders that wait for each other: values or a clear error, and never for ever."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context

import pytest

from cachekeeper import AsyncCache, InvalidInput
from cachekeeper.testing import MemoryCache
from tests.client.library import BOUND_S, run

TOLD = "a key that its own loader does not read"


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    """Not waited for in the end: a test that hangs is to fail."""
    pool = ThreadPoolExecutor(8)
    yield pool
    pool.shutdown(wait=False, cancel_futures=True)


def results(asked: list[Future[bytes]]) -> list[bytes | InvalidInput]:
    """What each reader got; one that waits for ever fails the test."""
    got: list[bytes | InvalidInput] = []
    for each in asked:
        try:
            got.append(each.result(BOUND_S))
        except InvalidInput as error:
            got.append(error)
    return got


class Ring:
    """Namespaces whose loaders each read the next one, the last one the first.

    No loader reads before every one of them has begun: each is a reader's, and a reader waits.
    ``once`` says that a loader which is called again reads nothing: the ring has an end.
    """

    def __init__(self, caches: Sequence[MemoryCache], *, once: bool) -> None:
        self.rooms = [cache.namespace(f"room{i}") for i, cache in enumerate(caches)]
        self.loaded = Counter[int]()
        self._once, self._all_here = once, threading.Barrier(len(caches))
        for i, room in enumerate(self.rooms):
            room.loader(lambda name, i=i: self._load(i, name))

    def _load(self, i: int, name: str) -> bytes:
        self.loaded[i] += 1
        again = self.loaded[i] > 1
        if not again:
            self._all_here.wait(BOUND_S)
        if again and self._once:
            return b"%d" % i
        following: bytes = self.rooms[(i + 1) % len(self.rooms)].get(name)
        return b"%d>%s" % (i, following)


@pytest.mark.parametrize("size", [2, 3, 5])
class TestThreads:
    """As many readers as loaders, each in a thread, each waiting for the next."""

    def test_who_closes_the_circle_makes_the_value_itself(
        self, threads: ThreadPoolExecutor, size: int
    ) -> None:
        with MemoryCache() as cache:
            ring = Ring([cache] * size, once=True)
            got = results([threads.submit(room.get, "a") for room in ring.rooms])
            assert not [each for each in got if isinstance(each, InvalidInput)]
            assert sum(ring.loaded.values()) <= 2 * size

    def test_loaders_that_need_each_other_are_told_so(
        self, threads: ThreadPoolExecutor, size: int
    ) -> None:
        with MemoryCache() as cache:
            ring = Ring([cache] * size, once=False)
            got = results([threads.submit(room.get, "a") for room in ring.rooms])
            assert [TOLD in str(each) for each in got] == [True] * size
            # And nothing is left of it.
            for room in ring.rooms:
                room.loader(str.encode)
            assert [room.get("a") for room in ring.rooms] == [b"a"] * size


def test_a_loader_that_reads_its_own_key_is_told_so() -> None:
    with MemoryCache() as cache:
        pages, parts = cache.namespace("page"), cache.namespace("part")
        pages.loader(parts.get)
        parts.loader(pages.get)
        for _ in range(2):
            with pytest.raises(InvalidInput, match=f"'page:a'.*{TOLD}"):
                pages.get("a")


def test_the_same_key_of_another_cache_is_another_key() -> None:
    with MemoryCache() as far, MemoryCache() as near:
        far_pages, near_pages = far.namespace("page"), near.namespace("page")
        far_pages.loader(str.encode)
        near_pages.loader(far_pages.get)
        assert near_pages.get("a") == b"a"


def test_circles_are_seen_across_caches(threads: ThreadPoolExecutor) -> None:
    with MemoryCache() as left, MemoryCache() as right:
        ring = Ring([left, right], once=False)
        got = results([threads.submit(room.get, "a") for room in ring.rooms])
        assert [TOLD in str(each) for each in got] == [True, True]


def test_a_loader_that_warms_what_reads_it_is_told_so(threads: ThreadPoolExecutor) -> None:
    with MemoryCache() as cache:
        pages, parts = cache.namespace("page"), cache.namespace("part")

        @pages.loader
        def page(name: str) -> bytes:
            parts.warm([name])
            return b"page"

        parts.loader(pages.get)
        (got,) = results([threads.submit(pages.get, "a")])
        assert TOLD in str(got)


def test_what_a_loader_left_running_may_read_its_key(threads: ThreadPoolExecutor) -> None:
    """It is part of nothing any more: it waits, or reads, like anybody."""
    with MemoryCache() as cache:
        pages = cache.namespace("page")
        landed, later = threading.Event(), list[Future[bytes]]()

        def read_again(name: str) -> bytes:
            landed.wait(BOUND_S)
            found: bytes = pages.get(name)
            return found

        @pages.loader
        def page(name: str) -> bytes:
            later.append(threads.submit(copy_context().run, read_again, name))
            return b"page"

        assert pages.get("a") == b"page"
        landed.set()
        assert results(later) == [b"page"]


def test_readers_outside_of_loaders_still_wait_for_one(threads: ThreadPoolExecutor) -> None:
    """A circle is no excuse for those that are not part of it."""
    with MemoryCache() as cache:
        pages, made, go_on = cache.namespace("page"), Counter[str](), threading.Event()

        @pages.loader
        def page(name: str) -> bytes:
            made[name] += 1
            go_on.wait(BOUND_S)
            return name.encode()

        asked = [threads.submit(pages.get, "a") for _ in range(8)]
        go_on.set()
        assert results(asked) == [b"a"] * 8
        assert made["a"] == 1


class TestLoop:
    """The same on an event loop."""

    @pytest.mark.parametrize("size", [2, 3, 5])
    @pytest.mark.parametrize("once", [True, False])
    def test_loaders_that_wait_for_each_other(self, size: int, *, once: bool) -> None:
        async def main() -> None:
            async with AsyncCache(cache=MemoryCache()) as cache:
                rooms = [cache.namespace(f"room{i}") for i in range(size)]
                loaded, all_here = Counter[int](), asyncio.Barrier(size)

                async def load(i: int, name: str) -> bytes:
                    loaded[i] += 1
                    again = loaded[i] > 1
                    if not again:
                        await all_here.wait()
                    if again and once:
                        return b"%d" % i
                    return b"%d>%s" % (i, await rooms[(i + 1) % size].get(name))

                for i, room in enumerate(rooms):

                    async def loader(name: str, i: int = i) -> bytes:
                        return await load(i, name)

                    room.loader(loader)
                asked = [room.get("a") for room in rooms]
                got = await asyncio.gather(*asked, return_exceptions=True)
                if once:
                    assert not [each for each in got if isinstance(each, BaseException)]
                    assert sum(loaded.values()) <= 2 * size
                else:
                    assert [TOLD in str(each) for each in got] == [True] * size

        run(main)

    def test_a_loader_in_a_thread_that_waits_for_one_on_the_loop(self) -> None:
        """Through the ``Cache`` beneath, whose flights are other ones."""

        async def main() -> None:
            beneath = MemoryCache()
            async with AsyncCache(cache=beneath) as cache:
                pages = cache.namespace("page")
                pages.loader(lambda name: beneath._namespaces["page"].get(name))
                with pytest.raises(InvalidInput, match=TOLD):
                    await pages.get("a")

        run(main)
