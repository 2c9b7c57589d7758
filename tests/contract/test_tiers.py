"""What every tier promises, whatever it is made of (DESIGN 3, T and M)."""

from __future__ import annotations

import hashlib
import itertools
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from cachekeeper.core.ports.tiers import SharedTier
from cachekeeper.core.stamps import Entry, Found, Stamp, source_of_key
from tests.contract.conftest import MIB, Shelf, Site, aged
from tests.support import wait_until

RACE_S = 0.4
ODD_NAMES = [
    "a b",
    "a*b?[c]^\\d",
    "semi;colon|pipe&amp",
    "k:not:a:key",
    "o:",
    "{hash}tag",
    "quote\"'`$(x)",
    "percent%s%d%%",
    "é写真🎞",
    "e\u0301",  # not the same text as é
    "\u2028\u00a0",
    "-1",
    "(1",
    "+inf",
    "0",
    "nil",
    "\x20",
]


def test_what_was_never_filled_is_not_there(shelf: Shelf) -> None:
    assert shelf.tier.read(shelf.key()) is None
    assert shelf.tier.remove([shelf.key()]) == 0
    assert shelf.tier.remove([]) == 0


def test_what_was_filled_is_read_with_its_stamp_and_times(shelf: Shelf) -> None:
    found = shelf.site.found(b"body", tags=["t 1", "t 2"], inputs=["file:x"])
    assert shelf.tier.fill(shelf.key(), found) is not None
    back = shelf.tier.read(shelf.key())
    assert back is not None
    assert back.entry == found.entry
    assert shelf.tier.read(shelf.key()) == back  # a read takes nothing away


def test_a_fill_and_a_read_tell_the_moment_at_which_the_value_was_valid(shelf: Shelf) -> None:
    found = shelf.site.found()
    now = shelf.site.mark(shelf.key("unrelated"))
    filled = shelf.tier.fill(shelf.key(), found)
    assert filled is not None
    assert filled.entry == found.entry
    assert found.moment <= filled.moment <= now
    later = shelf.site.mark(shelf.key("unrelated"))
    back = shelf.tier.read(shelf.key())
    assert back is not None
    assert back.moment == later


def test_a_second_fill_replaces_the_first(shelf: Shelf) -> None:
    shelf.tier.fill(shelf.key(), shelf.site.found(b"first and longer", tags=["t"]))
    shelf.tier.fill(shelf.key(), shelf.site.found(b"second"))
    assert shelf.body(shelf.key()) == b"second"
    shelf.site.mark(tags=["t"])  # which only the first one had
    assert shelf.body(shelf.key()) == b"second"


@pytest.mark.parametrize(
    "body", [b"", b"\x00", bytes(range(256)), b"\r\n$-1\r\n", b"\xff" * MIB], ids=len
)
def test_a_body_is_any_bytes_at_all(shelf: Shelf, body: bytes) -> None:
    shelf.tier.fill(shelf.key(), shelf.site.found(body))
    assert shelf.body(shelf.key()) == body


def test_a_removed_value_is_gone_and_counted_once(shelf: Shelf) -> None:
    keys = [shelf.key(rest) for rest in ("a", "b", "c")]
    for key in keys:
        shelf.tier.fill(key, shelf.site.found())
    assert shelf.tier.remove([keys[0], shelf.key("other"), keys[1], keys[0]]) == 2
    assert [shelf.body(key) for key in keys] == [None, None, b"value"]


def test_thousands_of_values_are_removed_in_one_call(shelf: Shelf) -> None:
    keys = [shelf.key(str(number)) for number in range(1200)]
    for key in (keys[0], keys[700], keys[-1]):
        shelf.tier.fill(key, shelf.site.found())
    assert shelf.tier.remove(iter(keys)) == 3
    assert shelf.tier.remove(keys) == 0
    assert [shelf.body(key) for key in keys[-3:]] == [None] * 3


def test_a_key_removes_itself_and_nothing_that_looks_like_it(shelf: Shelf) -> None:
    others = [shelf.key(rest) for rest in ("a", "ab", "a*b", "A", "a ", "a:a")]
    for key in others:
        shelf.tier.fill(key, shelf.site.found())
    assert shelf.tier.remove([shelf.key("a*")]) == 0
    assert shelf.tier.remove([shelf.key("?")]) == 0
    assert shelf.tier.remove([shelf.key("a")]) == 1
    assert [shelf.body(key) for key in others] == [None, *[b"value"] * 5]


@pytest.mark.parametrize("rest", [*ODD_NAMES, "x" * 500])
def test_a_key_is_any_key_at_all(shelf: Shelf, rest: str) -> None:
    key = shelf.key(rest)
    shelf.tier.fill(key, shelf.site.found(rest.encode()))
    assert shelf.body(key) == rest.encode()
    shelf.site.mark(key)
    assert shelf.tier.read(key) is None


@pytest.mark.parametrize("source", ["key", "value", "tag", "namespace", "input", "its namespace"])
def test_a_value_is_stale_once_any_of_its_sources_is_marked(shelf: Shelf, source: str) -> None:
    key, above = shelf.key(), f"{shelf.namespace}-in:x"
    shelf.tier.fill(key, shelf.site.found(tags=["other", shelf.key("tag")], inputs=[above]))
    match source:
        case "key":
            shelf.site.mark(shelf.key("unrelated"), key)
        case "value":
            shelf.site.mark(key, cascade=False)
        case "tag":
            shelf.site.mark(tags=[shelf.key("tag")])
        case "namespace":
            shelf.site.mark(namespaces=[shelf.namespace])
        case "input":
            shelf.site.mark(above)
        case _:
            shelf.site.mark(namespaces=[f"{shelf.namespace}-in"])
    assert shelf.tier.read(key) is None


def test_marks_of_other_things_leave_a_value_alone(shelf: Shelf) -> None:
    key, above = shelf.key(), shelf.key("above")
    shelf.tier.fill(key, shelf.site.found(tags=["t"], inputs=[above]))
    shelf.site.mark(shelf.key("b"), tags=[key, "T"], namespaces=[shelf.namespace + "x"])
    shelf.site.mark(above, cascade=False)  # that value alone, not what was made from it
    assert shelf.body(key) == b"value"


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_tag_is_any_tag_at_all(shelf: Shelf, name: str) -> None:
    tagged, bare, tag = shelf.key("tagged"), shelf.key("bare"), f"{name} {shelf.namespace}"
    shelf.tier.fill(tagged, shelf.site.found(tags=[tag, "second"]))
    shelf.tier.fill(bare, shelf.site.found(tags=[tag.swapcase() + "x"]))
    shelf.site.mark(tags=[tag])
    assert shelf.tier.read(tagged) is None
    assert shelf.body(bare) == b"value"


@pytest.mark.parametrize("which", [0, 995, 996, 997, 998, 1996, 1997, 2999])
def test_a_value_of_thousands_of_sources_knows_every_one_of_them(shelf: Shelf, which: int) -> None:
    """Servers look them up a thousand at a time, three of its own before the inputs."""
    inputs = [shelf.key(str(i)) for i in range(3000)]
    key = shelf.key("album")
    assert shelf.tier.fill(key, shelf.site.found(inputs=inputs)) is not None
    assert shelf.body(key) == b"value"
    late = shelf.site.found(b"late", inputs=inputs)
    shelf.site.mark(inputs[which])
    assert shelf.tier.read(key) is None
    assert shelf.tier.fill(key, late) is None


def test_a_value_made_after_the_mark_is_fresh(shelf: Shelf) -> None:
    shelf.site.mark(shelf.key(), tags=["t"], namespaces=[shelf.namespace])
    shelf.tier.fill(shelf.key(), shelf.site.found(tags=["t"]))
    assert shelf.body(shelf.key()) == b"value"


def test_a_fill_that_comes_too_late_is_refused(shelf: Shelf) -> None:
    """Its loader began before the invalidation: what it read may be the old content."""
    late = shelf.site.found(b"old")
    shelf.site.mark(shelf.key())
    assert shelf.tier.fill(shelf.key(), late) is None
    assert shelf.tier.read(shelf.key()) is None


def test_a_late_fill_does_not_bring_the_old_value_back_over_a_new_one(shelf: Shelf) -> None:
    late = shelf.site.found(b"old", inputs=[shelf.key("above")])
    shelf.site.mark(shelf.key("above"))
    shelf.tier.fill(shelf.key(), shelf.site.found(b"new"))
    assert shelf.tier.fill(shelf.key(), late) is None
    assert shelf.body(shelf.key()) in (b"new", None)


def test_a_late_fill_is_refused_however_long_ago_the_mark_was(shelf: Shelf) -> None:
    late = shelf.site.found(b"old")
    for _ in range(10):
        shelf.site.mark(shelf.key(), shelf.key("b"))
    assert shelf.tier.fill(shelf.key(), late) is None
    assert shelf.tier.fill(shelf.key(), aged(late, 0)) is None


def test_a_value_expires(shelf: Shelf) -> None:
    found = shelf.site.found(lifetime_s=0.2)
    shelf.tier.fill(shelf.key(), found)
    assert shelf.body(shelf.key()) == b"value"
    wait_until(lambda: shelf.tier.read(shelf.key()) is None, seconds=2)
    assert time.time() >= found.entry.expires - 0.005  # and not before its time


def test_a_value_that_expired_on_its_way_is_not_served(shelf: Shelf) -> None:
    shelf.tier.fill(shelf.key(), shelf.site.found(b"before"))
    shelf.tier.fill(shelf.key(), shelf.site.found(lifetime_s=-1))
    assert shelf.tier.read(shelf.key()) is None


def test_no_read_gives_a_value_older_than_a_mark_that_had_returned_before_it(
    shelf: Shelf,
) -> None:
    """The promise itself: fills, reads and invalidations at once, from several threads."""
    site, tier, key = shelf.site, shelf.tier, shelf.key()
    truth, floor, stop = [0], [0], threading.Event()
    stale: list[tuple[int, int]] = []
    hits = itertools.count()

    def edit() -> None:
        for version in itertools.count(1):
            if stop.is_set():
                return
            truth[0] = version
            site.mark(key)
            floor[0] = version

    def fill() -> None:
        while not stop.is_set():
            found = site.found()  # takes the moment first
            body = b"%d" % truth[0]
            tier.fill(key, found._replace(entry=found.entry._replace(body=body)))

    def read() -> None:
        while not stop.is_set():
            least = floor[0]
            body = shelf.body(key)
            if body is not None:
                next(hits)
                if int(body) < least:
                    stale.append((int(body), least))

    with ThreadPoolExecutor(4) as threads:
        running = [threads.submit(work) for work in (edit, fill, fill, read)]
        stop.wait(RACE_S)
        stop.set()
    for work in running:
        work.result()
    assert stale == []
    assert floor[0] > 5
    assert next(hits) > 5


@pytest.mark.parametrize("name", ["redis", "disk"])
def test_a_shared_tier_tells_what_is_there_fresh_or_not(site: Site, name: str) -> None:
    shelf = Shelf(site, site.tier(name))
    shared: dict[str, SharedTier] = {"redis": site.stores.redis, "disk": site.stores.disk}
    tier = shared[name]
    fresh, stale, gone = (shelf.key(rest) for rest in ("fresh", "stale", "gone"))
    for key in (fresh, stale):
        tier.fill(key, site.found())
    site.mark(stale)
    assert tier.present([gone, stale, fresh]) == [stale, fresh]
    assert tier.present([]) == []
    assert tier.read(stale) is None  # which removes it
    assert tier.present([gone, stale, fresh]) == [fresh]


def test_the_shared_tiers_hold_one_version_of_a_key_each_for_itself(site: Site) -> None:
    shelf, found = Shelf(site, site.stores.redis), site.found(b"of both")
    site.stores.disk.fill(shelf.key(), found)
    assert shelf.body(shelf.key()) is None
    shelf.tier.fill(shelf.key(), found)
    assert site.stores.disk.remove([shelf.key()]) == 1
    assert shelf.body(shelf.key()) == b"of both"


def test_a_value_too_large_for_the_site_is_left_to_the_disk(site: Site) -> None:
    shelf = Shelf(site, site.stores.redis)
    key, large = shelf.key(), site.found(b"x" * (4 * MIB + 1))
    shelf.tier.fill(key, site.found(b"small and older"))
    assert shelf.tier.fill(key, large) is None
    assert shelf.tier.read(key) is None  # not the small one either
    assert site.stores.disk.fill(key, large) is not None


def test_a_blob_that_is_gone_is_a_miss_and_is_filled_again(site: Site) -> None:
    shelf = Shelf(site, site.stores.disk)
    found = site.found(b"a body that no other test has")
    shelf.tier.fill(shelf.key(), found)
    digest = hashlib.sha256(found.entry.body).hexdigest()
    (site.blobs / digest[:2] / digest).unlink()
    assert shelf.tier.read(shelf.key()) is None
    shelf.tier.fill(shelf.key(), found)
    assert shelf.body(shelf.key()) == found.entry.body


def test_sources_are_kept_as_they_are_and_in_order(shelf: Shelf) -> None:
    sources = tuple(source_of_key(f"{shelf.namespace}:{name}") for name in ODD_NAMES)
    now = time.time()
    moment = shelf.site.stores.marks.now()
    shelf.tier.fill(shelf.key(), Found(Entry(b"", Stamp(moment, sources), now, now + 60), moment))
    back = shelf.tier.read(shelf.key())
    assert back is not None
    assert back.entry.stamp.sources == sources


def test_a_record_too_short_to_be_one_of_this_version_is_none(site: Site) -> None:
    shelf, stores = Shelf(site, site.stores.redis), site.stores
    name = stores.connection.layout.value(shelf.key())
    stores.connection.redis.set(name, b"\0" * 40, ex=60)
    assert stores.redis.look(shelf.key()) is None
    assert shelf.tier.read(shelf.key()) is None
    assert not stores.connection.redis.exists(name)
