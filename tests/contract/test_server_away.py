"""The cache server is down, comes back, or is full: reads go on, and nothing wrong is kept."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis

from cachekeeper import Cache
from cachekeeper.client.reading import LOADERS_AT_ONCE
from cachekeeper.core.request import make_request
from cachekeeper.core.stamps import source_of_key
from cachekeeper.core.strategy import Strategy
from cachekeeper.errors import BrokerUnavailable, CacheFull, CacheUnavailable, InvalidInput
from cachekeeper.settings import Settings
from cachekeeper.store.redis.garbage import RedisGarbage
from cachekeeper.store.redis.records import RedisActivity
from tests.contract.conftest import OwnServer, marked
from tests.support import but, wait_until
from workers.wiring import Wiring

READERS = 3 * LOADERS_AT_ONCE


@pytest.fixture
def cache(given: Settings) -> Iterator[Cache]:
    with Cache(but(given, memory_bytes=0)) as cache:
        yield cache


class TestDown:
    """Nobody answers."""

    def test_reads_go_to_the_loader_a_bounded_number_at_once(
        self, own_server: OwnServer, cache: Cache
    ) -> None:
        pages = cache.namespace("page")
        lock, at_work, most = threading.Lock(), [0], [0]

        @pages.loader
        def page(name: str) -> bytes:
            with lock:
                at_work[0] += 1
                most[0] = max(most[0], at_work[0])
            time.sleep(0.05)
            with lock:
                at_work[0] -= 1
            return name.encode()

        own_server.stop()
        began = time.monotonic()
        with ThreadPoolExecutor(READERS) as threads:
            names = [str(i) for i in range(READERS)]
            assert list(threads.map(pages.get, names)) == [name.encode() for name in names]
        assert most[0] == LOADERS_AT_ONCE
        assert time.monotonic() - began < 2
        assert cache.stats()["bypass"] == READERS

    def test_loaders_that_read_do_not_wait_for_each_other(
        self, own_server: OwnServer, cache: Cache
    ) -> None:
        """All of the room is taken by those that read, and what they read needs none."""
        parts, pages = cache.namespace("part"), cache.namespace("page")
        together = threading.Barrier(LOADERS_AT_ONCE)
        parts.loader(lambda name: name.encode())

        @pages.loader
        def page(name: str) -> bytes:
            together.wait(5)
            found: bytes = parts.get(name)
            return b"page of " + found

        own_server.stop()
        began = time.monotonic()
        with ThreadPoolExecutor(LOADERS_AT_ONCE) as threads:
            made = list(threads.map(pages.get, map(str, range(LOADERS_AT_ONCE))))
        assert made == [b"page of %d" % i for i in range(LOADERS_AT_ONCE)]
        assert time.monotonic() - began < 4

    def test_a_loader_that_reads_its_own_key_is_told_so(
        self, own_server: OwnServer, cache: Cache
    ) -> None:
        parts, pages = cache.namespace("part"), cache.namespace("page")
        parts.loader(pages.get)
        pages.loader(parts.get)
        own_server.stop()
        with pytest.raises(InvalidInput, match="page:a"):
            pages.get("a")

    def test_memory_serves_until_its_lease_is_over(
        self, own_server: OwnServer, given: Settings
    ) -> None:
        with Cache(but(given, lease_s=1)) as cache:
            pages = cache.namespace("page")
            made: list[str] = []

            @pages.loader
            def page(name: str) -> bytes:
                made.append(name)
                return name.encode()

            pages.get("a")
            own_server.stop()
            assert pages.get("a") == b"a"
            assert cache.stats()["memory"] == 1
            wait_until(lambda: pages.get("a") and cache.stats()["bypass"], 3)
            served = cache.stats()["memory"]
            assert pages.get("a") == b"a"
            assert cache.stats()["memory"] == served
            assert len(made) == 1 + cache.stats()["bypass"]

    def test_what_needs_the_server_says_so(self, own_server: OwnServer, cache: Cache) -> None:
        pages = cache.namespace("page")
        pages.loader(lambda name: name.encode())
        pages.get("a")
        own_server.stop()
        unavailable = (CacheUnavailable, BrokerUnavailable)
        for strategy in Strategy:
            with pytest.raises(unavailable):
                cache.invalidate("page:a", strategy=strategy)
        with pytest.raises(CacheUnavailable):
            pages.lookup("a")
        with pytest.raises(CacheUnavailable):
            cache.depend("page:a", on="config:x")
        with pytest.raises(CacheUnavailable), pages.fill("a") as fill:
            fill.put(b"never made")
        with pytest.raises(CacheUnavailable):
            cache.why("page:a")

    def test_a_fill_that_loses_the_server_stores_nothing_and_says_so(
        self, own_server: OwnServer, cache: Cache
    ) -> None:
        pages = cache.namespace("page")
        with pages.fill("a") as fill:
            own_server.stop()
            with pytest.raises(CacheUnavailable):
                fill.put(b"a")
        own_server.start()
        assert pages.lookup("a").state == "missing"


class TestBack:
    """It answers again."""

    def test_it_is_used_again_within_a_second(self, own_server: OwnServer, given: Settings) -> None:
        with Cache(given) as cache:
            pages = cache.namespace("page")
            pages.loader(lambda name: name.encode())
            own_server.stop()
            pages.get("a")
            pages.get("a")
            own_server.start()
            back = time.monotonic()
            wait_until(lambda: pages.get("a") and pages.lookup("a").state == "fresh", 3)
            assert time.monotonic() - back < 1
            wait_until(lambda: pages.get("a") and pages.lookup("a").tier == "memory", 3)
            assert time.monotonic() - back < 1.5

    def test_nothing_that_was_made_meanwhile_is_there(
        self, own_server: OwnServer, given: Settings
    ) -> None:
        with Cache(given) as cache:
            parts, pages = (cache.namespace(name, on_disk=True) for name in ("part", "page"))
            parts.loader(lambda name: name.encode())
            pages.loader(lambda name: b"page of " + parts.get(name))
            own_server.stop()
            assert pages.get("a") == b"page of a"
            own_server.start()
            for tier in cache.tiers.values():
                assert tier.read("page:a") is None
                assert tier.read("part:a") is None
            assert list(cache.stores.graph.nodes()) == []

    def test_what_is_made_of_something_read_meanwhile_is_kept_nowhere(
        self, own_server: OwnServer, given: Settings
    ) -> None:
        """Poison goes all the way up, although the server was there before and after."""
        with Cache(given) as cache:
            names = ("part", "page", "book")
            parts, pages, books = (cache.namespace(name, on_disk=True) for name in names)
            parts.loader(lambda name: name.encode())
            pages.loader(lambda name: b"page of " + parts.get(name))

            def away_for_a_moment(name: str) -> bytes:
                own_server.stop()
                found: bytes = pages.get(name)
                own_server.start()
                wait_until(lambda: cache.stores.marks.now())
                return b"book of " + found

            books.loader(away_for_a_moment)
            assert books.get("a") == b"book of page of a"
            with books.fill("b") as fill:
                value = away_for_a_moment("b")
                assert not fill.put(value)
            for tier in cache.tiers.values():
                for key in ("book:a", "book:b", "page:a", "part:a"):
                    assert tier.read(key) is None

    def test_a_value_whose_making_a_restart_overtook_is_not_kept(
        self, own_server: OwnServer, given: Settings
    ) -> None:
        """Nor what was made of inputs of two incarnations."""
        with Cache(given) as cache:
            parts, pages = cache.namespace("part"), cache.namespace("page")
            parts.loader(lambda name: name.encode())

            @pages.loader
            def page(name: str) -> bytes:
                before: bytes = parts.get(f"{name} before")
                own_server.restart()
                wait_until(lambda: cache.stores.marks.now())
                after: bytes = parts.get(f"{name} after")
                return before + b" " + after

            assert pages.get("a") == b"a before a after"
            assert all(tier.read("page:a") is None for tier in cache.tiers.values())
            memory, now = cache._memory, cache.stores.marks.now()
            wait_until(lambda: memory.applied.incarnation == now.incarnation, 3)
            assert all(tier.read("part:a before") is None for tier in cache.tiers.values())
            assert parts.lookup("a after").state == "fresh"


class TestFull:
    """It has reached ``maxmemory``, and may evict nothing."""

    @pytest.fixture
    def given(self, given: Settings) -> Settings:
        """Not a second for which the client waits on itself."""
        return but(given, lease_s=1)

    @pytest.fixture
    def full(self, own_server: OwnServer) -> Iterator[redis.Redis]:
        """A client of the server; ``fill_up`` is what makes it full."""
        with redis.Redis.from_url(own_server.url) as client:
            yield client

    def fill_up(self, client: redis.Redis) -> None:
        client.config_set("maxmemory", "1")  # byte: every write that needs memory is refused
        with pytest.raises(redis.exceptions.OutOfMemoryError):
            client.set("plain", "x")

    def test_what_is_marked_is_stale_everywhere(self, full: redis.Redis, given: Settings) -> None:
        with Cache(given) as cache:
            parts, pages = (cache.namespace(name, on_disk=True) for name in ("part", "page"))
            parts.loader(lambda name: name.encode())
            pages.loader(lambda name: b"page of " + parts.get(name))
            pages.get("a")
            self.fill_up(full)
            moment = marked(cache.stores.marks, "part:a")
            wait_until(lambda: cache._memory.applied >= moment)
            for tier in cache.tiers.values():
                assert tier.read("page:a") is None
                assert tier.read("part:a") is None
            last = cache.stores.marks.last([source_of_key("part:a")])
            assert last is not None
            assert last.epoch == moment.epoch

    def test_nodes_follow_renew_join_and_are_fenced(
        self, full: redis.Redis, given: Settings
    ) -> None:
        """Or strict would wait for ever, and memory serve nothing."""
        with Cache(given) as cache:
            self.fill_up(full)
            nodes, memory, node = cache.stores.nodes, cache._memory, cache._node
            assert node is not None
            first, before = memory.lease_until, node.id
            wait_until(lambda: memory.lease_until > first, 3)
            assert nodes.fence(memory.applied.epoch + 1) == [before]
            wait_until(lambda: node.id != before and nodes.renew(node.id, memory.applied), 3)

    def test_who_waits_for_a_node_is_rung(self, full: redis.Redis, given: Settings) -> None:
        with Cache(given) as cache:
            self.fill_up(full)
            nodes, layout = cache.stores.nodes, cache.stores.connection.layout
            nodes.join("late")
            moment = marked(cache.stores.marks, "part:a")
            with ThreadPoolExecutor(1) as threads:
                asked = threads.submit(nodes.wait, moment.epoch, 1.5)
                wait_until(lambda: full.exists(layout.waiting))
                assert nodes.renew("late", moment)
                _, acks = asked.result()
            assert acks["late"] == min(acks.values()) == moment.epoch

    def test_a_value_is_made_and_returned_though_it_can_not_be_stored(
        self, full: redis.Redis, given: Settings
    ) -> None:
        with Cache(given) as cache:
            names = ("part", "page")
            parts, pages = (cache.namespace(name, on_disk=True) for name in names)
            parts.loader(lambda name: name.encode())
            pages.loader(lambda name: b"page of " + parts.get(name))
            pages.get("held")
            self.fill_up(full)
            assert pages.get("a") == b"page of a"
            assert pages.get("held") == b"page of held"
            with Cache(given) as other:  # which copies it from a far tier into a near one
                held = other.namespace("page", on_disk=True)
                other.stores.redis.remove(["page:held"])
                assert held.get("held") == b"page of held"
            assert all(
                tier.read("page:a") is None for tier in (cache.stores.redis, cache.stores.disk)
            )
            full.config_set("maxmemory", "0")
            assert pages.get("b") == b"page of b"
            assert cache.stores.redis.read("page:b") is not None

    def test_no_work_fails_since_nobody_could_count_it(
        self, full: redis.Redis, given: Settings
    ) -> None:
        with Cache(given) as cache:
            self.fill_up(full)
            activity = RedisActivity(cache.stores.connection)
            activity.record("a.task", "worker", 1.0, {"done": 1})
            activity.count("something")
            assert (activity.last(), activity.totals()) == ({}, {})
            with pytest.raises(CacheFull):
                RedisGarbage(cache.stores.connection).add(["part:a"], 1.0)

    def test_a_strict_invalidation_ends_and_holds(self, full: redis.Redis, given: Settings) -> None:
        wiring = Wiring(given)
        try:
            self.fill_up(full)
            fields = {"id": "one", "at": time.time(), "keys": ["page:a"]}
            (receipt,) = wiring.invalidator.run([make_request(**fields, consistency="strict")])
            assert receipt.status == "done"
            many = {"id": "two", "at": time.time(), "keys": [f"page:{i}" for i in range(1500)]}
            for request in (many, {**many, "id": "three", "strategy": "lazy"}):
                (receipt,) = wiring.invalidator.run([make_request(**request)])
                assert receipt.status == "done"
                assert not receipt.purged
                assert "not known any more" in " ".join(receipt.limits)
        finally:
            wiring.cache.close()
