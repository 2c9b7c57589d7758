"""What a namespace offers beside ``get``: fills of one's own, looks, warm-ups, pins."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Iterator

import pytest

from cachekeeper import Cache, InvalidInput
from cachekeeper.client.reading import Lookup
from cachekeeper.errors import QuotaExceeded
from cachekeeper.settings import Settings
from tests.contract.conftest import marked
from tests.support import but, wait_until

KIB = 1024
ROOM = 20 * KIB


@pytest.fixture
def given(here: Settings) -> Settings:
    return but(here, lease_s=1)


@pytest.fixture
def cache(given: Settings) -> Iterator[Cache]:
    with Cache(given) as cache:
        yield cache


def held(cache: Cache, key: str) -> set[str]:
    """The tiers that would serve a key."""
    return {name for name, tier in cache.tiers.items() if tier.read(key)}


def invalidated(cache: Cache, *keys: str, **more: object) -> None:
    """Marked, and followed by the memory of this process."""
    moment = marked(cache.stores.marks, *keys, **more)
    wait_until(lambda: cache._memory.applied >= moment)


class TestFill:
    """A value of one's own making, fenced by the moment at which the making began."""

    def test_what_was_put_is_read_from_every_tier(self, cache: Cache) -> None:
        pages = cache.namespace("page", serializer="json", on_disk=True)
        with pages.fill("a") as fill:
            assert fill.put({"title": "é"})
        assert held(cache, "page:a") == set(cache.tiers)
        assert pages.get("a") == {"title": "é"}  # no loader is needed
        assert cache.stats()["memory"] >= 1

    def test_it_replaces_what_there_was_and_lives_as_long_as_others(self, cache: Cache) -> None:
        pages = cache.namespace("page", ttl_s=600)
        pages.loader(lambda _: b"loaded")
        assert pages.get("a") == b"loaded"
        with pages.fill("a") as fill:
            assert fill.put(b"put")
        assert pages.get("a") == b"put"
        entry = pages.entry("a")
        lives = pages.lifetime.after(pages.key("a"), 0)
        assert 540 < lives <= 600
        assert entry.expires - entry.filled == pytest.approx(lives)

    @pytest.mark.parametrize("what", ["key", "input", "above", "tag", "namespace"])
    def test_it_is_refused_when_its_truth_changed_meanwhile(self, cache: Cache, what: str) -> None:
        above, inputs, pages = (cache.namespace(name) for name in ("above", "input", "page"))
        above.loader(lambda name: name.encode())
        inputs.loader(lambda name: above.get(name))
        pages.tags(lambda name: (f"tag {name}",))
        with pages.fill("a") as fill:
            value = b"page of " + inputs.get("i")
            match what:
                case "key":
                    invalidated(cache, "page:a")
                case "input":
                    invalidated(cache, "input:i")
                case "above":
                    invalidated(cache, "above:i")
                case "tag":
                    invalidated(cache, tags=["tag a"])
                case _:
                    invalidated(cache, namespaces=["page"])
            assert not fill.put(value)
        assert held(cache, "page:a") == set()

    def test_it_is_refused_even_before_this_process_has_heard_of_the_change(
        self, cache: Cache, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The server knows, and ``put`` says what the server knows."""
        pages, heard, apply = cache.namespace("page"), threading.Event(), cache._memory.apply

        def late(epoch: int, sources: Collection[str]) -> int:
            heard.wait(5)
            return apply(epoch, sources)

        monkeypatch.setattr(cache._memory, "apply", late)
        try:
            with pages.fill("a") as fill:
                marked(cache.stores.marks, "page:a")
                assert not fill.put(b"old")
        finally:
            heard.set()

    def test_what_was_read_within_it_depends_on_from_then_on(self, cache: Cache) -> None:
        inputs, pages = cache.namespace("input"), cache.namespace("page")
        inputs.loader(lambda name: name.encode())
        inputs.get("before")
        with pages.fill("a") as fill:
            assert fill.put(b"page of " + inputs.get("i"))
        inputs.get("after")
        assert cache.why("page:a").derived_from == ["input:i"]
        invalidated(cache, "input:before", "input:after")
        assert held(cache, "page:a") == {"memory", "redis"}
        invalidated(cache, "input:i")
        assert held(cache, "page:a") == set()

    def test_within_a_loader_it_is_a_value_of_its_own(self, cache: Cache) -> None:
        """What the loader reads elsewhere is not the fill's, nor the other way round."""
        inputs, parts, pages = (cache.namespace(name) for name in ("input", "part", "page"))
        inputs.loader(lambda name: name.encode())

        @pages.loader
        def page(name: str) -> bytes:
            with parts.fill(name) as fill:
                fill.put(inputs.get("of the part"))
            found: bytes = inputs.get("of the page")
            return found

        pages.get("a")
        assert cache.why("part:a").derived_from == ["input:of the part"]
        assert cache.why("page:a").derived_from == ["input:of the page"]

    def test_nothing_is_stored_when_nothing_is_put_or_it_can_not_be_written(
        self, cache: Cache
    ) -> None:
        pages = cache.namespace("page", serializer="json")
        with pages.fill("a"):
            pass
        with pytest.raises(InvalidInput, match="value"), pages.fill("a") as fill:
            fill.put(object())
        with pytest.raises(ZeroDivisionError), pages.fill("a") as fill:
            fill.put(1 // 0)
        assert held(cache, "page:a") == set()
        pages.loader(lambda name: name)  # and reads are noted as before
        assert pages.get("a") == "a"
        with pytest.raises(InvalidInput, match="key"):
            pages.fill("\n")


class TestLookup:
    """Looks without making anything."""

    def test_missing_fresh_and_stale(self, cache: Cache, given: Settings) -> None:
        pages = cache.namespace("page")
        assert pages.lookup("a") == Lookup("missing", None, None)
        pages.loader(lambda name: name.encode())
        began = time.time()
        pages.get("a")
        near = pages.lookup("a")
        assert (near.state, near.tier) == ("fresh", "memory")
        assert near.age_s is not None
        assert 0 <= near.age_s <= time.time() - began
        with Cache(but(given, memory_bytes=0)) as other:
            assert other.namespace("page").lookup("a")[:2] == ("fresh", "redis")
        invalidated(cache, "page:a")
        assert pages.lookup("a") == Lookup("stale", None, None)
        assert pages.lookup("a") == Lookup("missing", None, None)  # looked at, it is removed
        assert cache.stats()["loader"] == 1

    def test_it_copies_nothing_into_nearer_tiers(self, cache: Cache, given: Settings) -> None:
        pages = cache.namespace("page")
        pages.loader(lambda name: name.encode())
        pages.get("a")
        with Cache(given) as other:
            found = other.namespace("page")
            assert [found.lookup("a").tier for _ in range(2)] == ["redis", "redis"]

    def test_a_stale_value_on_disk_is_stale_too(self, given: Settings) -> None:
        with Cache(but(given, redis_value_bytes=10)) as cache:
            films = cache.namespace("film")
            films.loader(lambda name: name.encode() * 100)
            films.get("a")
            assert films.lookup("a").state == "fresh"
            invalidated(cache, "film:a")
            assert films.lookup("a") == Lookup("stale", None, None)


class TestManyAtOnce:
    """``get_many`` and ``warm``."""

    def test_many_values_come_by_their_names_each_made_once(self, cache: Cache) -> None:
        pages = cache.namespace("page")
        made: list[str] = []

        @pages.loader
        def page(name: str) -> bytes:
            made.append(name)
            return name.encode()

        pages.get("b")
        assert pages.get_many(["c", "a", "b", "a"]) == {"c": b"c", "a": b"a", "b": b"b"}
        assert sorted(made) == ["a", "b", "c"]
        assert pages.get_many([]) == {}
        assert pages.get_many(name for name in "ab") == {"a": b"a", "b": b"b"}

    def test_what_many_are_read_in_a_loader_it_depends_on(self, cache: Cache) -> None:
        pages, books = cache.namespace("page"), cache.namespace("book")
        pages.loader(lambda name: name.encode())
        books.loader(lambda _: b"".join(pages.get_many("abc").values()))
        assert books.get("x") == b"abc"
        assert cache.why("book:x").derived_from == ["page:a", "page:b", "page:c"]

    def test_warming_makes_what_is_cold_a_few_at_a_time(self, cache: Cache) -> None:
        pages = cache.namespace("page")
        lock, at_work, most, made = threading.Lock(), [0], [0], list[str]()

        @pages.loader
        def page(name: str) -> bytes:
            with lock:
                at_work[0] += 1
                most[0] = max(most[0], at_work[0])
                made.append(name)
            time.sleep(0.02)
            with lock:
                at_work[0] -= 1
            return name.encode()

        pages.get("1")
        pages.get("2")
        invalidated(cache, "page:2")
        names = [str(i) for i in range(12)]
        assert pages.warm([*names, "3"], at_once=3) == 11  # all but the first that is held
        assert most[0] == 3
        assert sorted(made) == sorted([*names, "2"])
        assert pages.warm(names) == 0
        assert pages.warm([]) == 0
        assert {pages.lookup(name).state for name in names} == {"fresh"}

    def test_a_loader_that_fails_is_told_to_whoever_warms(self, cache: Cache) -> None:
        pages = cache.namespace("page")
        pages.loader(lambda name: bytes(1 // int(name)))
        with pytest.raises(ZeroDivisionError):
            pages.warm(["1", "0", "2"])
        with pytest.raises(InvalidInput, match="key"):
            pages.warm(["1", ""])


class TestPins:
    """A few values stay in memory whatever else is read."""

    @pytest.fixture
    def cache(self, given: Settings) -> Iterator[Cache]:
        with Cache(but(given, memory_bytes=ROOM)) as cache:
            cache.namespace("page").loader(lambda _: b"." * KIB)
            yield cache

    def crowd(self, cache: Cache) -> None:
        """Read more than there is room for."""
        for i in range(30):
            cache._namespaces["page"].get(f"other {i}")

    def test_what_is_pinned_stays_and_what_is_not_goes(self, cache: Cache) -> None:
        pages = cache._namespaces["page"]
        for name in ("pinned", "unpinned", "plain"):
            pages.get(name)
            if name != "plain":
                cache.pin(f"page:{name}")
        cache.unpin("page:unpinned")
        self.crowd(cache)
        kept = {name: pages.lookup(name).tier for name in ("pinned", "unpinned", "plain")}
        assert kept == {"pinned": "memory", "unpinned": "redis", "plain": "redis"}

    def test_a_pin_holds_before_the_value_is_there_and_after_it_was_invalidated(
        self, cache: Cache
    ) -> None:
        pages = cache._namespaces["page"]
        cache.pin("page:a")
        for _ in range(2):
            pages.get("a")
            self.crowd(cache)
            assert pages.lookup("a").tier == "memory"
            invalidated(cache, "page:a")
            assert pages.lookup("a").state != "fresh"  # a pin does not make it true

    def test_pins_take_half_of_the_memory_and_not_more(self, cache: Cache) -> None:
        pages = cache._namespaces["page"]
        for i in range(6):
            pages.get(str(i))
        for i in range(5):
            cache.pin(f"page:{i}")
            cache.pin(f"page:{i}")  # twice is once
        with pytest.raises(QuotaExceeded, match="page:5"):
            cache.pin("page:5")
        cache.unpin("page:0")
        cache.pin("page:5")
        self.crowd(cache)
        assert {pages.lookup(str(i)).tier for i in range(1, 6)} == {"memory"}
        assert cache._memory.bytes <= ROOM

    def test_malformed_keys_are_refused(self, cache: Cache) -> None:
        for call in (cache.pin, cache.unpin):
            with pytest.raises(InvalidInput, match="key"):
                call("no key")
        cache.unpin("page:never pinned")

    def test_values_that_arrive_under_pins_keep_the_bound_of_the_memory(self, cache: Cache) -> None:
        pages = cache._namespaces["page"]
        for i in range(20):
            try:
                cache.pin(f"page:{i}")
            except QuotaExceeded:
                break
            pages.get(str(i)) if i % 2 else None
        for i in range(20):
            pages.get(str(i))
        assert cache._memory.bytes <= ROOM
