"""Values made of a great many others: one source in place of all, and as true as before."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from cachekeeper import Cache
from cachekeeper.client.namespace import Namespace
from cachekeeper.core.ports.tiers import Tier
from cachekeeper.core.stamps import FOLD_BEYOND, group_of, source_of_key, source_of_tag
from cachekeeper.settings import Settings
from tests.contract.conftest import Shelf, Site, marked
from tests.support import but, wait_until

MANY = FOLD_BEYOND + 50
SHARED = ("redis", "disk")
FAR_S = 1e6


@pytest.fixture
def cache(here: Settings) -> Iterator[Cache]:
    with Cache(but(here, lease_s=1)) as cache:
        yield cache


@pytest.fixture
def shelves(cache: Cache) -> Namespace:
    """``region`` > ``mid`` > the seventh ``leaf``; ``MANY`` leaves > ``album`` > ``shelf``."""
    names = ("region", "mid", "leaf", "album", "shelf")
    regions, mids, leaves, albums, shelves = (cache.namespace(n, on_disk=True) for n in names)
    regions.loader(lambda name: name.encode())
    mids.loader(lambda name: regions.get(name))
    leaves.loader(lambda name: mids.get(name) if name == "7" else name.encode())
    leaves.tags(lambda name: (f"tag of {name}",))
    albums.loader(lambda _: b" ".join(leaves.get(str(i)) for i in range(MANY)))
    shelves.loader(lambda name: b"shelf of " + albums.get(name))
    return shelves


def held(cache: Cache, key: str) -> set[str]:
    """The tiers that would serve a key."""
    return {name for name, tier in cache.tiers.items() if tier.read(key)}


def invalidated(cache: Cache, *keys: str, **more: object) -> None:
    """Marked, and followed by the memory of this process."""
    moment = marked(cache.stores.marks, *keys, **more)
    wait_until(lambda: cache._memory.applied >= moment)


def group_keys(cache: Cache) -> list[str]:
    """All that Redis keeps of groups."""
    layout = cache.stores.connection.layout
    found = cache.stores.connection.redis.scan_iter(match=f"{layout.prefix}*group*", count=1000)
    return sorted(raw.decode() for raw in found)


def test_a_value_made_of_many_is_stored_with_one_source(cache: Cache, shelves: Namespace) -> None:
    shelves.get("x")
    for tier in cache.tiers.values():
        found = tier.read("album:x")
        assert found is not None
        assert found.entry.stamp.sources == (group_of("album:x"),)
        above = tier.read("shelf:x")
        assert above is not None
        assert set(above.entry.stamp.sources) == {"k:album:x", "n:album", group_of("album:x")}


FEW = FOLD_BEYOND - 1  # each input hands on its key; their namespace is one more


@pytest.mark.parametrize("which", [0, FEW // 2, FEW - 1])
def test_each_of_as_many_as_fit_is_looked_for_among_the_marks_of_others(
    shelf: Shelf, which: int
) -> None:
    few = [shelf.key(str(i)) for i in range(FEW)]
    key = shelf.key("album")
    assert shelf.tier.fill(key, shelf.site.found(inputs=few))
    assert shelf.body(key) == b"value"  # nothing was marked since
    shelf.site.mark(shelf.key("another"))
    assert shelf.body(key) == b"value"
    shelf.site.mark(few[which])
    assert shelf.body(key) is None


def test_as_many_as_fit_are_stored_as_they_are(shelf: Shelf) -> None:
    few = [shelf.key(str(i)) for i in range(FEW)]
    found = shelf.site.found(inputs=few)
    assert len(found.entry.stamp.sources) == FOLD_BEYOND
    stored = shelf.tier.fill(shelf.key("album"), found)
    assert stored is not None
    assert stored.entry == found.entry


@pytest.mark.parametrize(
    "names",
    [
        {"keys": ["leaf:0"]},
        {"keys": [f"leaf:{MANY // 2}"]},
        {"keys": [f"leaf:{MANY - 1}"]},
        {"keys": ["mid:7"]},
        {"keys": ["region:7"]},
        {"keys": [], "tags": ["tag of 3"]},
        {"keys": [], "namespaces": ["leaf"]},
        {"keys": [], "namespaces": ["region"]},
        {"keys": [f"leaf:{i}" for i in range(MANY)]},
    ],
    ids=lambda names: " ".join(f"{len(v)} {k} {v[0][:8]}" for k, v in names.items() if v),
)
def test_whatever_it_was_made_from_makes_it_stale_and_what_is_made_of_it(
    cache: Cache, shelves: Namespace, names: dict[str, list[str]]
) -> None:
    shelves.get("x")
    everywhere = set(cache.tiers)
    assert held(cache, "album:x") == held(cache, "shelf:x") == everywhere
    invalidated(cache, "leaf:not one of them", tags=["tag of another"])
    assert held(cache, "album:x") == held(cache, "shelf:x") == everywhere
    invalidated(cache, *names["keys"], **{k: v for k, v in names.items() if k != "keys"})
    assert held(cache, "album:x") == held(cache, "shelf:x") == set()


def test_a_mark_without_cascade_of_one_of_many_leaves_it_alone(
    cache: Cache, shelves: Namespace
) -> None:
    shelves.get("x")
    invalidated(cache, "leaf:3", cascade=False)
    assert held(cache, "album:x") == set(cache.tiers)


def test_it_is_fresh_when_it_was_made_again_and_stale_again_after_that(
    cache: Cache, shelves: Namespace
) -> None:
    """The mark of the group is no older than the new value: it must not count for ever."""
    for i in range(3):
        shelves.get("x")
        assert held(cache, "album:x") == held(cache, "shelf:x") == set(cache.tiers)
        invalidated(cache, f"leaf:{i}")
        assert held(cache, "album:x") == held(cache, "shelf:x") == set()


def test_groups_are_made_of_groups(cache: Cache, shelves: Namespace) -> None:
    walls, houses = (cache.namespace(name, on_disk=True) for name in ("wall", "house"))
    extra = cache.namespace("extra")
    extra.loader(lambda name: name.encode())

    @walls.loader
    def wall(name: str) -> bytes:
        found: bytes = shelves.get(name)
        return found + b"".join(extra.get(str(i)) for i in range(MANY))

    @houses.loader
    def house(name: str) -> bytes:
        found: bytes = walls.get(name)
        return found + b"".join(extra.get(f"{name}{i}") for i in range(MANY))

    for key in ("region:7", "leaf:4", "extra:5", "extra:x5"):
        houses.get("x")
        for tier in cache.tiers.values():
            found = tier.read("house:x")
            assert found is not None
            assert found.entry.stamp.sources == (group_of("house:x"),)
        invalidated(cache, key)
        assert held(cache, "house:x") == set(), key
        assert (held(cache, "wall:x") == set()) == (key != "extra:x5")


@pytest.mark.parametrize("name", SHARED)
def test_a_late_fill_of_a_value_made_of_many_is_refused(site: Site, name: str) -> None:
    shelf = Shelf(site, site.tier(name))
    inputs = [shelf.key(str(i)) for i in range(MANY)]
    late = site.found(inputs=inputs)
    site.mark(inputs[-1])
    assert shelf.tier.fill(shelf.key("album"), late) is None


class TestLifetime:
    """A group stays as long as a value names it, and no longer."""

    @pytest.fixture(params=SHARED)
    def tier(self, site: Site, request: pytest.FixtureRequest) -> Tier:
        return site.tier(request.param)

    def test_it_is_dropped_with_the_last_value_that_names_it(self, site: Site, tier: Tier) -> None:
        shelf, now = Shelf(site, tier), time.time()
        album, above, last = (shelf.key(rest) for rest in ("album", "above", "last"))
        inputs = [shelf.key(str(i)) for i in range(MANY)]
        stored = tier.fill(album, site.found(inputs=inputs, lifetime_s=10))
        assert stored is not None
        for key, below, lifetime_s in ((above, album, 100), (last, above, 200)):
            found = site.found(lifetime_s=lifetime_s)
            stamp = stored.entry.stamp.handed_on(below, stored.moment)
            stored = tier.fill(key, found._replace(entry=found.entry._replace(stamp=stamp)))
            assert stored is not None

        marks = site.stores.marks
        for later in (0, 9, 11, 99, 101, 199):  # the first values have expired by and by
            assert marks.drop_groups(now + later) == 0
        site.mark(inputs[3])
        assert tier.read(last) is None
        assert marks.drop_groups(now + 300) == 1
        assert marks.drop_groups(now + 300) == 0

    def test_a_group_that_is_part_of_another_stays_with_it(self, site: Site, tier: Tier) -> None:
        shelf, now = Shelf(site, tier), time.time()
        inner, outer = shelf.key("inner"), shelf.key("outer")
        inputs = [shelf.key(str(i)) for i in range(2 * MANY)]
        stored = tier.fill(inner, site.found(inputs=inputs[:MANY], lifetime_s=10))
        assert stored is not None
        found = site.found(inputs=inputs[MANY:], lifetime_s=100)
        handed_on = stored.entry.stamp.handed_on(inner, stored.moment)
        stamp = handed_on._replace(sources=(*found.entry.stamp.sources, *handed_on.sources))
        assert tier.fill(outer, found._replace(entry=found.entry._replace(stamp=stamp)))
        assert site.stores.marks.drop_groups(now + 50) == 0
        site.mark(inputs[0])
        assert tier.read(outer) is None
        assert site.stores.marks.drop_groups(now + 150) == 2

    def test_a_value_that_names_a_group_that_has_gone_is_refused(
        self, site: Site, tier: Tier
    ) -> None:
        """It vouches for nothing any more: what it stood for is forgotten."""
        shelf = Shelf(site, tier)
        album = shelf.key("album")
        inputs = [shelf.key(str(i)) for i in range(MANY)]
        stored = tier.fill(album, site.found(inputs=inputs, lifetime_s=5))
        assert stored is not None
        found = site.found()
        above = stored.entry.stamp.handed_on(album, stored.moment)
        late = found._replace(entry=found.entry._replace(stamp=above))
        assert site.stores.marks.drop_groups(time.time() + 10) == 1
        assert tier.fill(shelf.key("above"), late) is None

    def test_nothing_is_left_of_it(self, cache: Cache, shelves: Namespace) -> None:
        """A group of every value that ever was would fill the server."""
        shelves.get("x")
        assert len(group_keys(cache)) > MANY
        assert cache.stores.marks.drop_groups(time.time() + FAR_S) == 1
        assert group_keys(cache) == []


def test_a_value_that_names_a_group_that_has_gone_is_kept_by_no_tier(
    cache: Cache, shelves: Namespace
) -> None:
    """Memory can't know that the group has gone, and would not hear of a mark of its members."""
    slow = cache.namespace("slow")

    @slow.loader
    def slow_one(name: str) -> bytes:
        found: bytes = shelves.get(name)
        cache.stores.marks.drop_groups(time.time() + FAR_S)  # so slow that the group has expired
        return found

    slow.get("x")
    assert held(cache, "slow:x") == set()


class TestDeclaredLater:
    """``depend`` at the level of marks; a worker's part of it is in tests/tasks."""

    def declare(self, cache: Cache, key: str, on: str, lifetime_s: float = 60) -> bool:
        found = cache.stores.redis.read(key)
        assert found is not None
        marks, as_of = cache.stores.marks, found.entry.stamp.as_of
        return marks.declare(source_of_key(key), [on], as_of, time.time() + lifetime_s)

    def test_what_is_declared_counts_from_then_on(self, cache: Cache, shelves: Namespace) -> None:
        shelves.get("x")
        assert self.declare(cache, "leaf:9", source_of_key("config:y"))
        assert self.declare(cache, "shelf:x", source_of_tag("colour"))
        invalidated(cache, "config:y")
        for key in ("leaf:9", "album:x", "shelf:x"):
            assert held(cache, key) == set()
        shelves.get("x")
        assert self.declare(cache, "shelf:x", source_of_tag("colour"))
        invalidated(cache, tags=["colour"])
        assert held(cache, "shelf:x") == set()
        assert held(cache, "album:x") == set(cache.tiers)

    def test_a_source_that_was_marked_since_the_value_was_made_is_told(
        self, cache: Cache, shelves: Namespace
    ) -> None:
        invalidated(cache, "config:before")
        shelves.get("x")
        invalidated(cache, "config:since")
        assert self.declare(cache, "leaf:9", source_of_key("config:before"))
        assert not self.declare(cache, "leaf:9", source_of_key("config:since"))

    def test_it_is_forgotten_in_the_end(self, cache: Cache, shelves: Namespace) -> None:
        shelves.get("x")
        self.declare(cache, "leaf:9", source_of_key("config:y"), lifetime_s=5)
        marks, now = cache.stores.marks, time.time()
        assert marks.drop_groups(now + 10) == 0, "the shelf, made from the leaf, lives longer"
        assert marks.drop_groups(now + cache.settings.ttl_max_s) == 2
        assert not group_keys(cache)

    def test_it_lives_as_long_as_a_value_that_names_what_it_is_about(self, site: Site) -> None:
        """Of a chain, each value may be made just before the one that it is made of expires."""
        shelf, now = Shelf(site, site.stores.redis), time.time()
        low, high, config = shelf.key("low"), shelf.key("high"), source_of_key(shelf.key("config"))
        marks, made = site.stores.marks, site.found(lifetime_s=5)
        assert marks.declare(source_of_key(low), [config], made.moment, now + 10)
        assert shelf.tier.fill(high, site.found(inputs=[low], lifetime_s=100))
        marks.drop_groups(now + 50)
        site.mark(shelf.key("config"))
        assert shelf.tier.read(high) is None

    def test_what_it_is_made_of_lives_as_long_as_it(self, cache: Cache, shelves: Namespace) -> None:
        """The declared source is a group, and that one has a group for a member."""
        bricks, walls = cache.namespace("brick"), cache.namespace("wall")
        notes = cache.namespace("note", ttl_s=cache.settings.ttl_max_s)
        bricks.loader(lambda name: name.encode())
        walls.loader(
            lambda name: shelves.get(name) + b"".join(bricks.get(str(i)) for i in range(MANY))
        )
        notes.loader(lambda name: name.encode())
        walls.get("x")
        notes.get("n")
        assert self.declare(cache, "note:n", group_of("wall:x"), lifetime_s=86400)
        cache.stores.marks.drop_groups(time.time() + 2 * cache.settings.ttl_default_s)
        invalidated(cache, "leaf:9")
        assert held(cache, "note:n") == set()

    def test_a_group_that_has_gone_vouches_for_nothing(
        self, cache: Cache, shelves: Namespace
    ) -> None:
        shelves.get("x")
        cache.stores.marks.drop_groups(time.time() + FAR_S)
        assert not self.declare(cache, "leaf:9", group_of("album:x"))
