"""Values that live longer for being read: exactly, in every place that knows when they end."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Sequence

import pytest

from cachekeeper import Cache
from cachekeeper.client.accesses import Accesses
from cachekeeper.client.namespace import Namespace
from cachekeeper.client.stores import open_stores
from cachekeeper.core.ports.tiers import Tier
from cachekeeper.core.stamps import (
    FOLD_BEYOND,
    Entry,
    Found,
    Moment,
    Stamp,
    group_of,
    source_of_key,
)
from cachekeeper.core.ttl import Accessed, Lifetime
from cachekeeper.errors import CacheUnavailable
from cachekeeper.settings import Settings
from cachekeeper.store.redis.expiry import EXTENDED_A_CALL
from tests.contract.conftest import OwnServer, Shelf, Site, marked
from tests.support import but, wait_until

RULE = Lifetime(100, 2, 1000)
SLOW = Lifetime(100, 1.04, 1000)
SCRIPTS = ("evalsha", "eval")


@pytest.fixture(params=["redis", "disk"])
def shelf(site: Site, request: pytest.FixtureRequest) -> Shelf:
    """Each tier that processes share, in turn."""
    return Shelf(site, site.tier(request.param))


@pytest.fixture
def settings(here: Settings) -> Settings:
    return but(here, lease_s=1)


@pytest.fixture
def cache(settings: Settings) -> Iterator[Cache]:
    with Cache(settings) as cache:
        yield cache


def filled(shelf: Shelf, key: str, age_s: float = 0, lives_s: float = 100, **how: object) -> float:
    """Store a value as if some time ago, to live for so long; when that was."""
    found = shelf.site.found(**how)  # type: ignore[arg-type]
    at = found.entry.filled - age_s
    entry = found.entry._replace(filled=at, expires=at + lives_s)
    assert shelf.tier.fill(key, found._replace(entry=entry)) is not None
    return at


def read(
    shelf: Shelf, key: str, at: float, accesses: int = 1, rule: Lifetime = RULE
) -> float | None:
    """Tell of accesses; how long the value lives now, from its fill."""
    (expires,) = shelf.site.stores.expiry.extend([Accessed(key, at, accesses, rule)])
    return None if expires is None else expires - at


def lives(shelf: Shelf, key: str, at: float) -> float:
    """How long it lives from its fill, which the record, its key and the index have to agree on."""
    site = shelf.site
    found, connection = shelf.tier.read(key), site.stores.connection
    assert found is not None
    layout = connection.layout
    names = [layout.value(key), layout.binding(key)]
    ends = {connection.redis.pexpiretime(n) for n in names if connection.redis.exists(n)}
    assert ends == {int(f"{found.entry.expires * 1000:.0f}")}
    assert site.stores.expiry.when(key) == found.entry.expires
    return found.entry.expires - at


class TestExtension:
    """The script, on a value of each shared tier."""

    def test_each_access_multiplies_the_life_up_to_the_most(self, shelf: Shelf) -> None:
        key = shelf.key()
        at = filled(shelf, key)
        for accesses, expected in ((1, 200), (1, 400), (0, 400), (1, 800), (1, 1000), (5, 1000)):
            assert read(shelf, key, at, accesses) == pytest.approx(expected, abs=1e-3)
            assert lives(shelf, key, at) == pytest.approx(expected, abs=1e-3)

    def test_many_accesses_at_once_and_too_large_powers_end_at_the_most(self, shelf: Shelf) -> None:
        at = filled(shelf, shelf.key())
        assert read(shelf, shelf.key(), at, 10**9) == pytest.approx(1000)
        assert read(shelf, shelf.key(), at, 10**10) == pytest.approx(1000)
        assert lives(shelf, shelf.key(), at) == pytest.approx(1000)

    def test_jitter_shortens_the_extended_life_as_it_did_the_first(self, shelf: Shelf) -> None:
        key, rule = shelf.key(), Lifetime(100, 2, 1000, 0.1)
        at = filled(shelf, key, lives_s=rule.after(key, 0))
        assert read(shelf, key, at, rule=rule) == pytest.approx(rule.after(key, 1), abs=1e-3)
        assert read(shelf, key, at, 9, rule=rule) == pytest.approx(rule.most(key), abs=1e-3)

    def test_it_is_written_only_when_it_gains_a_tenth_of_what_is_left(self, shelf: Shelf) -> None:
        at = filled(shelf, shelf.key())
        for _ in range(2):  # 1.04, 1.0816
            assert read(shelf, shelf.key(), at, rule=SLOW) == pytest.approx(100)
        assert lives(shelf, shelf.key(), at) == pytest.approx(100)
        third = 100 * 1.04**3
        assert read(shelf, shelf.key(), at, rule=SLOW) == pytest.approx(third), "all are counted"
        assert lives(shelf, shelf.key(), at) == pytest.approx(third)

    def test_near_the_end_little_is_a_tenth(self, shelf: Shelf) -> None:
        at = filled(shelf, shelf.key(), age_s=80)
        assert read(shelf, shelf.key(), at, rule=SLOW) == pytest.approx(104)
        assert lives(shelf, shelf.key(), at) == pytest.approx(104)

    def test_what_was_filled_anew_is_another_value(self, shelf: Shelf) -> None:
        key = shelf.key()
        before = filled(shelf, key, age_s=5)
        at = filled(shelf, key)
        assert read(shelf, key, before) is None
        assert lives(shelf, key, at) == pytest.approx(100)
        assert read(shelf, key, at) == pytest.approx(200), "nor were its accesses counted"

    def test_what_is_stale_is_left_alone(self, shelf: Shelf) -> None:
        names = ("own", "of_tag", "of_input")
        at = {n: filled(shelf, shelf.key(n), tags=[n], inputs=["config:" + n]) for n in names}
        shelf.site.mark(shelf.key("own"), "config:of_input", tags=["of_tag"])
        for name in names:
            expires = shelf.site.stores.expiry.when(shelf.key(name))
            assert read(shelf, shelf.key(name), at[name]) is None
            assert shelf.site.stores.expiry.when(shelf.key(name)) == expires
        fresh = filled(shelf, shelf.key("after"), tags=["of_tag"])
        assert read(shelf, shelf.key("after"), fresh) == pytest.approx(200)

    def test_what_has_expired_is_not_brought_back(self, shelf: Shelf) -> None:
        key = shelf.key()
        at = filled(shelf, key, age_s=99.95)
        wait_until(lambda: shelf.tier.read(key) is None)
        assert read(shelf, key, at) is None
        assert shelf.tier.read(key) is None
        assert shelf.site.stores.expiry.when(key) == pytest.approx(at + 100)

    def test_what_was_removed_or_never_there_is_left_alone(self, shelf: Shelf) -> None:
        at = filled(shelf, shelf.key())
        shelf.tier.remove([shelf.key()])
        assert read(shelf, shelf.key(), at) is None
        assert read(shelf, shelf.key("none"), at) is None
        assert shelf.body(shelf.key()) is None

    def test_a_clock_that_jumps_changes_nothing_but_the_fill_counts(self, shelf: Shelf) -> None:
        """Filled by a process that is an hour behind or ahead: the bound is on its own time."""
        behind = filled(shelf, shelf.key("behind"), age_s=90)
        ahead = filled(shelf, shelf.key("ahead"), age_s=-3600)
        for _ in range(20):
            assert (read(shelf, shelf.key("behind"), behind) or 0) <= 1000.001
            assert (read(shelf, shelf.key("ahead"), ahead) or 0) <= 1000.001
        assert lives(shelf, shelf.key("behind"), behind) == pytest.approx(1000, abs=1e-3)
        assert lives(shelf, shelf.key("ahead"), ahead) <= 1000.001

    def test_many_values_are_told_of_in_one_go(self, shelf: Shelf) -> None:
        keys = [shelf.key(str(i)) for i in range(2 * EXTENDED_A_CALL + 7)]
        at = {key: filled(shelf, key) for key in keys[::3]}
        told = [Accessed(key, at.get(key, 1.0), 1, RULE) for key in keys]
        ends = shelf.site.stores.expiry.extend(told)
        expected = [at[key] + 200 if key in at else None for key in keys]
        assert ends == [pytest.approx(each) if each else None for each in expected]

    def test_the_body_and_the_stamp_stay_as_they_were(self, shelf: Shelf) -> None:
        body = os.urandom(5000)
        at = filled(shelf, shelf.key(), body=body, tags=["a", "é"], inputs=["config:x"])
        before = shelf.tier.read(shelf.key())
        assert read(shelf, shelf.key(), at) == pytest.approx(200)
        after = shelf.tier.read(shelf.key())
        assert before is not None
        assert after is not None
        assert after.entry == before.entry._replace(expires=after.entry.expires)
        assert after.entry.body == body

    def test_two_processes_that_tell_at_the_same_time_lose_nothing(self, shelf: Shelf) -> None:
        key, rule = shelf.key(), Lifetime(100, 1.001, 100_000)
        at = filled(shelf, key)

        def tell() -> None:
            for _ in range(50):
                read(shelf, key, at, rule=rule)

        threads = [threading.Thread(target=tell) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert read(shelf, key, at, 100, rule=rule) == pytest.approx(100 * 1.001**300)

    def test_the_index_outlives_what_it_lists(self, shelf: Shelf) -> None:
        rule, connection = Lifetime(100, 2, 1e6), shelf.site.stores.connection
        at = filled(shelf, shelf.key())
        assert read(shelf, shelf.key(), at, 30, rule=rule) == pytest.approx(1e6)
        assert connection.redis.ttl(connection.layout.expiry) >= 1e6


class TestGroups:
    """What stands for many sources has to live as long as the value that names it."""

    def test_the_group_of_a_folded_value_lives_on_with_it(self, shelf: Shelf) -> None:
        """Else a mark of a member would not reach it: that is a stale read."""
        site, key = shelf.site, shelf.key("page")
        inputs = [shelf.key(f"in{i}") for i in range(FOLD_BEYOND + 20)]
        at = filled(shelf, key, inputs=inputs)
        above = shelf.key("above")
        of_above = filled(shelf, above, inputs=[])
        found = shelf.tier.read(key)
        assert found is not None
        assert found.entry.stamp.sources == (group_of(key),)
        handed_on = found.entry.stamp.handed_on(key, found.moment)
        entry = Entry(b"above", handed_on, of_above, of_above + 100)
        assert shelf.tier.fill(above, Found(entry, found.moment)) is not None
        assert read(shelf, above, of_above, 9) == pytest.approx(1000)
        site.stores.marks.drop_groups(at + 500)
        site.mark(inputs[7])
        assert shelf.body(above) is None
        assert shelf.body(key) is None

    def test_what_was_declared_afterwards_holds_for_the_longer_life(self, shelf: Shelf) -> None:
        site, key = shelf.site, shelf.key("page")
        at, source = filled(shelf, key), shelf.key("late")
        moment = site.stores.marks.now()
        declared = (source_of_key(key), [source_of_key(source)], moment, at + 100)
        assert site.stores.marks.declare(*declared)
        assert read(shelf, key, at, 9) == pytest.approx(1000)
        site.stores.marks.drop_groups(at + 500)
        site.mark(source)
        assert shelf.body(key) is None


class TestTwoTiers:
    """A value on disk that has a copy in Redis."""

    def test_both_have_one_life(self, site: Site) -> None:
        disk, redis = Shelf(site, site.stores.disk), Shelf(site, site.stores.redis)
        key = disk.key()
        at = filled(disk, key)
        found = disk.tier.read(key)
        assert found is not None
        assert redis.tier.fill(key, found, None) is not None
        assert read(disk, key, at) == pytest.approx(200, abs=1e-3)
        assert lives(disk, key, at) == lives(redis, key, at) == pytest.approx(200, abs=1e-3)

    def test_a_copy_made_from_an_older_read_lives_as_long_as_the_original(self, site: Site) -> None:
        disk, redis = Shelf(site, site.stores.disk), Shelf(site, site.stores.redis)
        key = disk.key()
        at = filled(disk, key)
        found = disk.tier.read(key)
        assert found is not None
        assert read(disk, key, at) == pytest.approx(200, abs=1e-3)
        copy = redis.tier.fill(key, found, None)
        assert copy is not None
        assert copy.entry.expires - at == pytest.approx(200, abs=1e-3)
        assert lives(disk, key, at) == lives(redis, key, at) == pytest.approx(200, abs=1e-3)
        assert read(disk, key, at) == pytest.approx(400, abs=1e-3)


class TestRestart:
    """A server that comes back."""

    def test_what_a_new_incarnation_refuses_lives_no_longer(
        self, own_server: OwnServer, given: Settings
    ) -> None:
        stores = open_stores(given, own_server.url, lambda *_: False)
        moment, now = stores.marks.now(), time.time()
        entry = Entry(b"v", Stamp(moment), now, now + 100)
        for key in ("page:a", "page:b"):
            assert stores.redis.fill(key, Found(entry, moment)) is not None
        (expires,) = stores.expiry.extend([Accessed("page:a", now, 1, RULE)])
        own_server.restart()
        assert stores.expiry.extend([Accessed(k, now, 1, RULE) for k in ("page:a", "page:b")]) == [
            None,
            None,
        ]
        raw, value = stores.connection.redis, stores.connection.layout.value
        assert expires is not None
        assert raw.pexpiretime(value("page:a")) == int(f"{expires * 1000:.0f}"), "it was written"
        assert raw.pexpiretime(value("page:b")) == int(f"{(now + 100) * 1000:.0f}")
        stores.connection.close()


class TestCounting:
    """Hits, as the client counts and tells them."""

    @pytest.fixture
    def pages(self, cache: Cache) -> Namespace:
        pages = cache.namespace("page", ttl_class="metadata")
        pages.loader(lambda name: name.encode())
        return pages

    def test_reads_from_memory_extend_the_value_everywhere(
        self, cache: Cache, pages: Namespace
    ) -> None:
        for _ in range(3):  # of which the first one fills: that is no access
            pages.get("a")
        expected = pages.lifetime.after("page:a", 2)
        wait_until(lambda: told(cache, "page:a") == pytest.approx(expected, abs=1e-3))
        wait_until(lambda: held_s(cache, "page:a") == pytest.approx(expected, abs=1e-3))

    def test_reads_from_redis_and_from_disk_are_counted_too(self, settings: Settings) -> None:
        with Cache(but(settings, memory_bytes=0)) as cache:
            for name, on_disk in (("page", False), ("big", True)):
                space = cache.namespace(name, ttl_class="metadata", on_disk=on_disk)
                space.loader(lambda name: name.encode())
                for _ in range(2):
                    space.get("a")
                expected = space.lifetime.after(f"{name}:a", 1)
                flushed(cache)
                tier = cache.tiers["disk" if on_disk else "redis"]
                assert lived(tier, f"{name}:a") == pytest.approx(expected, abs=1e-3)

    def test_a_hit_asks_nothing_more_of_the_server(self, settings: Settings) -> None:
        """Counted by the server itself: a script a read, and one for all that was counted."""
        with Cache(but(settings, memory_bytes=0)) as cache:
            pages = cache.namespace("page", ttl_class="config")
            pages.loader(lambda name: name.encode())
            names = [str(i) for i in range(10)]
            for name in names:
                pages.get(name)
            before = calls(cache, *SCRIPTS)
            for _ in range(20):
                for name in names:
                    pages.get(name)
            flushed(cache)
            assert 200 < calls(cache, *SCRIPTS) - before <= 205, "a trip now and then"
            told_of = [cache.stores.expiry.when(f"page:{name}") for name in names]
            assert all(expires and expires - time.time() > 6000 for expires in told_of)

    def test_what_lives_its_longest_is_not_told_of_again(
        self, cache: Cache, pages: Namespace
    ) -> None:
        pages.get("a")
        for _ in range(20):
            pages.get("a")
        most = pages.lifetime.most("page:a")
        wait_until(lambda: held_s(cache, "page:a") == pytest.approx(most, abs=1e-3))
        before = calls(cache, *SCRIPTS)
        for _ in range(20):
            pages.get("a")
        flushed(cache)
        assert calls(cache, *SCRIPTS) <= before + 4, "renewals of its lease"

    def test_another_node_serves_its_copy_to_the_end_that_it_knows(
        self, settings: Settings, cache: Cache, pages: Namespace
    ) -> None:
        with Cache(settings) as other:
            pages.get("a")
            other._reading.peek("page:a")
            first = held_s(other, "page:a")
            for _ in range(3):
                pages.get("a")
            expected = pages.lifetime.after("page:a", 3)
            wait_until(lambda: told(cache, "page:a") == pytest.approx(expected, abs=1e-3))
            assert held_s(other, "page:a") == first
            other._memory.remove(["page:a"])  # as when that end has come
            other._reading.peek("page:a")
            assert (held_s(other, "page:a") or 0) >= expected - 1e-3

    def test_an_invalidation_between_the_read_and_the_trip_wins(
        self, cache: Cache, pages: Namespace
    ) -> None:
        pages.get("a")
        pages.get("a")
        marked(cache.stores.marks, "page:a")
        expires = cache.stores.expiry.when("page:a")
        flushed(cache)
        assert cache.stores.expiry.when("page:a") == expires
        assert cache.stores.redis.read("page:a") is None

    def test_values_without_a_class_are_not_counted(self, cache: Cache) -> None:
        notes = cache.namespace("note", ttl_s=600)
        notes.loader(lambda name: name.encode())
        for _ in range(5):
            notes.get("a")
        assert not notes.watched
        assert not any(t.name == "cachekeeper-accesses" for t in threading.enumerate())

    def test_closing_tells_the_last_accesses(self, settings: Settings, cache: Cache) -> None:
        with Cache(settings) as other:
            pages = other.namespace("page", ttl_class="metadata")
            pages.loader(lambda name: name.encode())
            pages.get("a")
            pages.get("a")
        expected = pages.lifetime.after("page:a", 1)
        assert told(cache, "page:a") == pytest.approx(expected, abs=1e-3)

    def test_a_fork_tells_nothing_of_what_its_parent_counted(
        self, cache: Cache, pages: Namespace
    ) -> None:
        pages.get("a")
        pages.get("a")
        accesses = cache._accesses
        assert accesses is not None
        child = os.fork()
        if child == 0:
            os._exit(1 if accesses._counts or accesses._thread else 0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_counts_that_could_not_be_told_are_added_to_those_since() -> None:
    away, sent = True, list[Accessed]()

    def extend(accessed: Sequence[Accessed]) -> list[float | None]:
        if away:
            raise CacheUnavailable("away")
        sent.extend(accessed)
        return [None for _ in accessed]

    accesses = Accesses(extend, lambda *_: None)
    accesses.declare("page", RULE)
    entry = Entry(b"", Stamp(Moment(1, 1)), 10.0, 110.0)
    for key in ("page:a", "page:b", "page:a"):
        accesses.count(key, entry)
    accesses.flush()
    accesses.count("page:b", entry)
    accesses.count("page:a", entry._replace(filled=20.0))
    accesses.count("note:a", entry)
    away = False
    accesses.close()
    counted = {(each.key, each.filled): each.accesses for each in sent}
    assert counted == {("page:a", 20.0): 1, ("page:b", 10.0): 2}


def told(cache: Cache, key: str) -> float | None:
    """How long a value lives in Redis, from its fill."""
    return lived(cache.stores.redis, key)


def held_s(cache: Cache, key: str) -> float | None:
    """How long the copy in memory lives."""
    return lived(cache._memory, key)


def flushed(cache: Cache) -> None:
    """Tell now what was counted."""
    assert cache._accesses is not None
    cache._accesses.flush()


def lived(tier: Tier, key: str) -> float | None:
    """How long a value lives in a tier, from its fill."""
    found = tier.read(key)
    return None if found is None else found.entry.expires - found.entry.filled


def calls(cache: Cache, *commands: str) -> int:
    """How often the server was asked for something."""
    stats = cache.stores.connection.redis.info("commandstats")
    return sum(stats.get(f"cmdstat_{name}", {}).get("calls", 0) for name in commands)
