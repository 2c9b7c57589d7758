"""Why a key is as it is: looked at without a change, told as far as it can be."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from cachekeeper import Cache
from cachekeeper.core.request import make_request
from cachekeeper.services.explain import NAMED, Why
from cachekeeper.settings import Settings
from tests.contract.conftest import OwnServer, Site, marked
from tests.support import but, wait_until
from workers.wiring import Wiring

MIB = 1024 * 1024


@pytest.fixture
def settings(here: Settings, tmp_path: Path) -> Settings:
    (tmp_path / "origin").mkdir()
    return but(here, origin=tmp_path / "origin", prefetch=False, memory_bytes=0)


@pytest.fixture
def cache(settings: Settings) -> Iterator[Cache]:
    with Cache(settings) as opened:
        fill(opened)
        yield opened


def fill(cache: Cache) -> None:
    """A note, and a page of it."""
    notes, pages = cache.namespace("note"), cache.namespace("page", ttl_s=600)
    notes.loader(lambda name: name.encode())
    notes.tags(lambda _: ("red",))
    pages.loader(lambda name: notes.get(name))
    pages.get("milk")


def from_elsewhere(settings: Settings, key: str) -> Why:
    """As a process tells that declares no namespace."""
    with Cache(settings) as cache:
        return cache.why(key)


def cause(why: Why) -> str:
    assert (why.state, why.held) == ("missing", [])
    assert why.missing is not None
    return why.missing.cause


def lose(cache: Cache, key: str) -> None:
    cache.stores.redis.remove([key])


def test_what_is_held_is_told_tier_by_tier(cache: Cache) -> None:
    why = cache.why("page:milk")
    assert (why.state, why.missing, why.pinned, why.devices) == ("fresh", None, False, [])
    (held,) = why.held
    assert (held.tier, held.size, held.as_of, held.stale) == ("redis", 4, 0, "")
    assert 0 <= held.age_s < 60
    assert 540 < held.expires_in_s <= 600
    assert why.sources == ["k:note:milk", "n:note", "t:red"]
    assert (why.derived_from, why.derived_from_count) == (["note:milk"], 1)
    assert (cache.why("note:milk").dependents, cache.why("note:milk").dependents_count) == (
        ["page:milk"],
        1,
    )


def test_what_is_stale_is_told_and_left_where_it_is(cache: Cache) -> None:
    marked(cache.stores.marks, "note:other")
    marked(cache.stores.marks, "note:milk", reason="sour", by="till")
    assert cache.why("page:milk").state == "stale"
    why = cache.why("page:milk")
    assert (why.state, why.missing) == ("stale", None)
    (held,) = why.held
    assert held.stale == "key note:milk was invalidated at epoch 2, later than this"
    last = why.last_invalidation
    assert last is not None
    assert (last.reason, last.by, last.epoch) == ("sour", "till", 2)


def test_each_kind_of_source_is_named(cache: Cache) -> None:
    for fields, said in (
        ({"tags": ["red"]}, "tag red"),
        ({"namespaces": ["page"]}, "namespace page"),
        ({"keys": ["page:milk"], "cascade": False}, "the value of page:milk"),
    ):
        marked(cache.stores.marks, **fields)
        assert cache.why("page:milk").held[0].stale.startswith(f"{said} was invalidated")


def test_of_too_many_sources_the_group_is_named(cache: Cache) -> None:
    parts, wholes = cache.namespace("part"), cache.namespace("whole")
    parts.loader(lambda name: name.encode())
    wholes.loader(lambda _: b"".join(parts.get(str(i)) for i in range(150)))
    wholes.get("all")
    why = cache.why("whole:all")
    assert why.sources == ["g:whole:all"]
    assert (len(why.derived_from), why.derived_from_count) == (NAMED, 150)
    marked(cache.stores.marks, "part:7")
    (held,) = cache.why("whole:all").held
    assert held.stale == "what was put into whole:all was invalidated at epoch 1, later than this"


def test_dependents_are_counted_and_some_are_named(cache: Cache) -> None:
    for i in range(NAMED + 20):
        cache.stores.graph.link(f"page:{i}", ["note:hub"])
    why = cache.why("note:hub")
    assert (len(why.dependents), why.dependents_count) == (NAMED, NAMED + 20)
    assert len(set(why.dependents)) == NAMED


def test_what_was_purged_was_invalidated_however_far_up(cache: Cache, settings: Settings) -> None:
    for i in range(3):
        cache.stores.graph.link(f"deep:{i + 1}", [f"deep:{i}"])
    wiring = Wiring(settings)
    request = make_request(id=uuid.uuid4().hex, at=time.time(), keys=["note:milk"], reason="sour")
    wiring.invalidator.run([request])
    wiring.cache.close()
    for why in (cache.why("page:milk"), from_elsewhere(settings, "page:milk")):
        assert cause(why) == "invalidated"
        assert why.last_invalidation is not None
        assert why.last_invalidation.request == request.id
    marked(cache.stores.marks, "deep:0", reason="far away")
    last = cache.why("deep:3").last_invalidation
    assert last is not None
    assert last.reason == "far away"


def test_what_was_made_anew_since_was_not_taken_by_that_invalidation(cache: Cache) -> None:
    """Its lifetime tells when it was filled: after the mark."""
    marked(cache.stores.marks, "note:milk")
    lose(cache, "page:milk")
    assert cause(cache.why("page:milk")) == "invalidated"
    pages = cache.namespace("sheet", ttl_s=600)
    pages.loader(lambda _: b"new")
    marked(cache.stores.marks, "sheet:milk")
    pages.get("milk")
    lose(cache, "sheet:milk")
    assert cause(cache.why("sheet:milk")) == "unknown"


def test_never_filled(cache: Cache) -> None:
    assert cause(cache.why("note:never")) == "never filled"


def test_expired(site: Site) -> None:
    key = f"n{uuid.uuid4().hex[:8]}:a"
    assert site.stores.redis.fill(key, site.found(lifetime_s=0.05)) is not None
    wait_until(lambda: site.stores.redis.read(key) is None)
    settings = Settings(
        cache_url=site.stores.connection.url,
        broker_url=site.stores.connection.url,
        deployment=site.stores.connection.layout.prefix[1:-2],
        state=site.blobs.parent,
        memory_bytes=0,
    )
    why = from_elsewhere(settings, key)
    assert cause(why) == "expired"
    assert why.missing is not None
    assert why.missing.at is not None
    assert 0 < time.time() - why.missing.at < 60


def test_what_vanished_without_a_reason_is_not_called_evicted(cache: Cache) -> None:
    assert cache.stores.expiry.evictions() == 0
    lose(cache, "page:milk")
    why = cache.why("page:milk")
    assert cause(why) == "unknown"
    assert why.missing is not None
    assert "the server has taken nothing away for room" in why.missing.said


@pytest.mark.usefixtures("own_server")
def test_what_the_server_took_away_for_room_was_evicted(given: Settings) -> None:
    with Cache(but(given, memory_bytes=0, redis_value_bytes=MIB)) as cache:
        fill(cache)
        server = cache.stores.connection.redis
        server.config_set("maxmemory-policy", "volatile-ttl")
        server.config_set("maxmemory", server.info("memory")["used_memory"] + 2 * MIB)
        big = cache.namespace("big", ttl_s=3600)
        big.loader(lambda _: bytes(MIB // 8))
        names = iter(range(1000))
        wait_until(lambda: big.get(str(next(names))) and cache.stores.expiry.evictions())
        wait_until(
            lambda: big.get(str(next(names))) and cache.stores.redis.read("page:milk") is None
        )
        why = cache.why("page:milk")
        assert cause(why) == "evicted"
        assert why.missing is not None
        assert "took it away for room" in why.missing.said


def test_what_was_made_before_the_server_began_anew(own_server: OwnServer, given: Settings) -> None:
    with Cache(but(given, memory_bytes=0)) as cache:
        fill(cache)
        own_server.restart()
        why = cache.why("page:milk")
        assert why.state == "stale"
        assert why.held[0].stale == "made before the server began anew"


def test_a_pin_is_told_by_the_process_that_has_it(settings: Settings) -> None:
    with Cache(but(settings, memory_bytes=MIB)) as cache:
        fill(cache)
        cache.pin("page:milk")
        why = cache.why("page:milk")
        assert why.pinned
        assert [held.tier for held in why.held] == ["memory", "redis"]
        assert not from_elsewhere(settings, "page:milk").pinned
        reads = cache.stats()["memory"]
        assert cache.why("page:milk").state == "fresh"
        assert cache.stats()["memory"] == reads  # to look is no use


def test_a_blob_that_is_not_on_this_host_is_told(cache: Cache, settings: Settings) -> None:
    films = cache.namespace("film", on_disk=True)
    films.loader(lambda _: b"long")
    films.get("a")
    lose(cache, "film:a")
    assert [held.size for held in cache.why("film:a").held] == [4]
    elsewhere = but(settings, state=settings.state / "other")
    (held,) = from_elsewhere(elsewhere, "film:a").held
    assert (held.tier, held.size, held.stale) == ("disk", 0, "its content is not on this host")


def test_a_file_that_a_device_evicted(settings: Settings) -> None:
    assert settings.origin is not None
    for name in ("a b.jpg", "c.jpg"):
        (Path(settings.origin) / name).write_bytes(bytes(1000))
    with Cache(but(settings, device_quota=1500, device_headroom=0)) as small:
        phone = small.device("phone")
        phone.get("a b.jpg")
        (held,) = small.why("file:a b.jpg").devices
        assert (held.device, held.state, held.size) == ("phone", "fresh", 1000)
        marked(small.stores.marks, "file:a b.jpg")
        assert small.why("file:a b.jpg").devices[0].state == "stale"
        phone.get("c.jpg")
        (gone,) = small.why("file:a b.jpg").devices
        assert (gone.state, gone.said) == (
            "evicted",
            "to make room for 500 bytes: it was worth least",
        )
        assert 0 <= time.time() - gone.at < 60
        assert small.why("file:never.jpg").devices == []


def test_looking_writes_nothing(cache: Cache) -> None:
    redis, prefix = cache.stores.connection.redis, cache.stores.connection.layout.prefix
    marked(cache.stores.marks, "note:milk")

    def everything() -> dict[bytes, object]:
        return {name: redis.dump(name) for name in redis.scan_iter(match=f"{prefix}*", count=1000)}

    before = everything()
    for key in ("note:milk", "page:milk", "note:never", "file:a"):
        cache.why(key)
    assert everything() == before
