"""What beat calls: sweeps that take what is due, all of it, and nothing else."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from cachekeeper.client.stores import Stores
from cachekeeper.core.request import make_request
from cachekeeper.core.stamps import Entry, Found, Stamp, source_of_key
from cachekeeper.services.expire import CHUNK
from cachekeeper.settings import Settings
from cachekeeper.store.redis.marks import RedisMarks
from tests.support import but, wait_until
from workers.wiring import Wiring


@pytest.fixture
def wiring(here: Settings) -> Iterator[Wiring]:
    """The services of a worker, in this process."""
    wiring = Wiring(but(here, lease_s=0.3, lease_drift_s=0))
    for name in ("thumb", "a", "b"):
        wiring.cache.namespace(name, on_disk=True)  # as `file` is
    yield wiring
    wiring.cache.close()


@pytest.fixture
def stores(wiring: Wiring) -> Stores:
    return wiring.cache.stores


def fill(stores: Stores, key: str, body: bytes = b"v", lifetime_s: float = 60) -> None:
    moment, now = stores.marks.now(), time.time()
    found = Found(Entry(body, Stamp(moment), now, now + lifetime_s), moment)
    assert stores.disk.fill(key, found) is not None
    assert stores.redis.fill(key, found) is not None


def fields(name: str, *keys: str, **more: object) -> dict[str, object]:
    return {"id": name, "at": time.time(), "keys": keys, **more}


def test_the_expiry_sweep_takes_all_that_is_due_however_much(
    wiring: Wiring, stores: Stores
) -> None:
    many = CHUNK + 20
    for i in range(many):
        fill(stores, f"file:{i}", lifetime_s=0.01)
    fill(stores, "file:kept")
    wait_until(lambda: stores.redis.read(f"file:{many - 1}") is None)
    assert wiring.expiry_sweep.run()["entries"] == many
    assert stores.expiry.due(time.time() + 1e6, 10_000) == ["file:kept"]
    assert stores.redis.read("file:kept") is not None


def test_the_expiry_sweep_prunes_the_graph_of_what_it_took(wiring: Wiring, stores: Stores) -> None:
    fill(stores, "file:a")
    fill(stores, "thumb:a", lifetime_s=0.01)
    stores.graph.link("thumb:a", ["file:a"])
    wait_until(lambda: stores.redis.read("thumb:a") is None)
    assert wiring.expiry_sweep.run()["nodes_pruned"] == 1
    assert stores.graph.dependents("file:a") == []


def test_what_was_filled_again_stays_in_the_order_of_expiry(wiring: Wiring, stores: Stores) -> None:
    fill(stores, "file:a", lifetime_s=0.01)
    fill(stores, "file:b", lifetime_s=0.01)
    wait_until(lambda: len(stores.expiry.due(time.time(), 10)) == 2)
    fill(stores, "file:b", lifetime_s=60)
    assert wiring.expiry_sweep.run()["entries"] == 1
    assert stores.expiry.due(time.time() + 3600, 10) == ["file:b"]
    assert stores.redis.present(["file:b"]) == stores.disk.present(["file:b"]) == ["file:b"]


def test_the_lazy_sweep_takes_the_stale_bytes_and_leaves_a_refill(
    wiring: Wiring, stores: Stores
) -> None:
    for key in ("file:stale", "file:again"):
        fill(stores, key)
    asked = make_request(**fields("lazy", "file:stale", "file:again", strategy="lazy"))
    wiring.invalidator.run([asked])
    fill(stores, "file:again", b"new")
    assert stores.redis.present(["file:stale", "file:again"]) == ["file:stale", "file:again"]
    assert wiring.lazy_sweep.run() == {"disk": 1, "redis": 1}
    assert stores.redis.present(["file:stale", "file:again"]) == ["file:again"]
    assert wiring.lazy_sweep.run() == {"disk": 0, "redis": 0}


def test_a_request_that_is_delivered_twice_has_its_effect_once(
    wiring: Wiring, stores: Stores
) -> None:
    asked = make_request(**fields("twice", "file:a"))
    (first,) = wiring.invalidator.run([asked])
    fill(stores, "file:a", b"new")
    (second,) = wiring.invalidator.run([asked])
    assert second.epoch == first.epoch == stores.marks.now().epoch


def test_marks_last_as_long_as_a_value_made_before_them_may(wiring: Wiring, stores: Stores) -> None:
    wiring.invalidator.run([make_request(**fields("mark", "file:a"))])
    assert wiring.recovery.trim()["marks_trimmed"] == 0
    assert stores.marks.last([source_of_key("file:a")]) is not None
    assert stores.marks.trim(time.time() + 1) == 1
    assert stores.marks.last([source_of_key("file:a")]) is None
    assert stores.marks.now().epoch == 1  # which never falls


@pytest.mark.parametrize("seconds", [0.2, 1, 1.9])
def test_records_may_be_kept_for_as_short_as_one_likes(
    stores: Stores, deployment: str, seconds: float
) -> None:
    """The bound of ``record_s`` is 0: a fraction of a second must not stop invalidation."""
    marks = RedisMarks(stores.connection, seconds)
    request = make_request(**fields(f"{deployment} {seconds}", "file:a"))
    assert marks.mark([request], time.time())[0].epoch == 1


def test_a_chain_that_nobody_needs_goes_in_one_refresh(wiring: Wiring, stores: Stores) -> None:
    stores.graph.link("thumb:a", ["file:a"])
    stores.graph.link("album:x", ["thumb:a"])
    fill(stores, "thumb:b")
    stores.graph.link("thumb:b", ["file:b"])
    figures = wiring.graph_refresh.run()
    assert figures["pruned"] == 2, "what it was made from had no other edge"
    assert sorted(stores.graph.nodes()) == ["file:b", "thumb:b"]
    assert list(stores.graph.edges()) == [("file:b", "thumb:b")]


def test_a_refresh_reports_what_the_graph_is_like(wiring: Wiring, stores: Stores) -> None:
    for key, above in (("a:1", "a:2"), ("a:2", "a:1"), ("b:1", "a:1"), ("b:2", "a:1")):
        fill(stores, key)
        stores.graph.link(key, [above])
    figures = wiring.graph_refresh.run()
    assert (figures["nodes"], figures["edges"], figures["cycles"]) == (4, 4, 1)
    assert figures["largest_fan_out"] == 3
    assert stores.graph.statistics()["nodes"] == 4
