"""The sweep of what has expired: gone everywhere at once, and nothing else."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from cachekeeper.client.stores import Stores
from cachekeeper.core.stamps import Entry, Found, merged, stamp_of_tags
from cachekeeper.core.strategy import Strategy
from cachekeeper.core.ttl import Accessed, Lifetime
from cachekeeper.services.expire import CHUNK
from cachekeeper.settings import Settings
from cachekeeper.store.redis.expiry import EDGES_A_CALL
from tests.support import but, wait_until
from workers.wiring import Wiring

#: Long enough to fill some values meanwhile, on a machine that is busy.
SOON_S = 0.8


@pytest.fixture
def wiring(here: Settings) -> Iterator[Wiring]:
    """The services of a worker, in this process."""
    wiring = Wiring(here)
    yield wiring
    wiring.cache.close()


@pytest.fixture
def cascading(here: Settings) -> Iterator[Wiring]:
    """The same, for which a value that has expired takes with it what was derived from it."""
    wiring = Wiring(but(here, expiry_cascades="invalidate"))
    yield wiring
    wiring.cache.close()


def fill(
    wiring: Wiring, key: str, *inputs: str, lifetime_s: float = 60, tier: str = "redis"
) -> None:
    """Store a value that was derived from others."""
    stores = wiring.cache.stores
    stored = stores.disk if tier == "disk" else stores.redis
    moment, now = stores.marks.now(), time.time()
    read = {name: wiring.cache._reading.peek(name) for name in inputs}
    above = [found.entry.stamp.handed_on(name, moment) for name, found in read.items() if found]
    stamp = merged([stamp_of_tags((), moment), *above])
    wiring.cache._kept_on_disk.update([key.partition(":")[0]] if tier == "disk" else [])
    made = Found(Entry(b"v", stamp, now, now + lifetime_s), moment)
    filled = {name: found.entry.filled for name, found in read.items() if found}
    assert stored.fill(key, made, filled) is not None


def have_expired(wiring: Wiring, *keys: str) -> None:
    """Wait until the server says so of these, and nothing was swept."""
    expiry = wiring.cache.stores.expiry
    wait_until(lambda: set(keys) <= set(expiry.due(time.time() - 0.005, 10_000)))


def graph(stores: Stores) -> tuple[set[str], set[tuple[str, str]]]:
    return set(stores.graph.nodes()), set(stores.graph.edges())


def test_a_chain_that_expired_goes_from_every_tier_the_index_and_the_graph(wiring: Wiring) -> None:
    stores = wiring.cache.stores
    fill(wiring, "a:1", lifetime_s=SOON_S, tier="disk")
    fill(wiring, "b:1", "a:1", lifetime_s=SOON_S)
    fill(wiring, "c:1", "b:1", "a:1", lifetime_s=SOON_S, tier="disk")
    assert graph(stores)[1] == {("a:1", "b:1"), ("b:1", "c:1"), ("a:1", "c:1")}
    have_expired(wiring, "a:1", "b:1", "c:1")
    assert wiring.expiry_sweep.entries().removed == 3
    assert graph(stores) == (set(), set())
    assert stores.expiry.due(time.time() + 1e6, 10) == []
    raw, layout = stores.connection.redis, stores.connection.layout
    for name in ("a:1", "b:1", "c:1"):
        assert raw.exists(layout.value(name), layout.binding(name)) == 0


def test_a_key_stays_in_the_graph_while_something_lives_that_was_derived_from_it(
    wiring: Wiring,
) -> None:
    stores = wiring.cache.stores
    fill(wiring, "a:1", lifetime_s=SOON_S)
    fill(wiring, "b:1", "a:1", lifetime_s=2 * SOON_S)
    have_expired(wiring, "a:1")
    assert wiring.expiry_sweep.entries()[:2] == (1, 0)
    assert graph(stores)[1] == {("a:1", "b:1")}
    have_expired(wiring, "b:1")
    assert wiring.expiry_sweep.entries()[0] == 1
    assert graph(stores) == (set(), set()), "the last one takes with it what was kept for it"


def test_both_records_of_a_value_go(wiring: Wiring) -> None:
    """Of what has expired a server says that it is not there, while it takes room: kept visible."""
    stores = wiring.cache.stores
    fill(wiring, "a:1", lifetime_s=SOON_S, tier="disk")
    found = stores.disk.read("a:1")
    assert found is not None
    assert stores.redis.fill("a:1", found, None) is not None
    raw, layout = stores.connection.redis, stores.connection.layout
    records = [layout.value("a:1"), layout.binding("a:1")]
    for name in records:
        assert raw.pexpire(name, 60_000)
    have_expired(wiring, "a:1")
    assert wiring.expiry_sweep.entries().removed == 1
    assert raw.exists(*records, layout.expiry) == 0


def test_a_worker_whose_clock_is_ahead_removes_nothing_that_lives(wiring: Wiring) -> None:
    stores = wiring.cache.stores
    fill(wiring, "a:1")
    assert stores.expiry.sweep(time.time() + 1e6, CHUNK, cascades=False) == (0, 0, False)
    assert stores.redis.present(["a:1"]) == ["a:1"]
    assert stores.expiry.sweep(time.time() - 1e6, CHUNK, cascades=False) == (0, 0, False)


def test_what_a_call_does_is_bounded_in_edges_as_well(wiring: Wiring) -> None:
    stores = wiring.cache.stores
    inputs = [f"in:{i}" for i in range(EDGES_A_CALL // 2 + 1)]
    for name in ("a", "b", "c"):
        fill(wiring, f"wide:{name}", lifetime_s=SOON_S)
        stores.graph.link(f"wide:{name}", inputs)
    have_expired(wiring, "wide:a", "wide:b", "wide:c")
    calls = [stores.expiry.sweep(time.time(), CHUNK, cascades=False) for _ in range(3)]
    assert [(call.removed, call.more) for call in calls] == [(1, True), (1, True), (1, False)]
    assert graph(stores) == (set(), set())


def test_what_was_derived_from_an_expired_value_stays_unless_told_otherwise(wiring: Wiring) -> None:
    fill(wiring, "a:1", lifetime_s=SOON_S)
    fill(wiring, "b:1", "a:1")
    have_expired(wiring, "a:1")
    assert wiring.expiry_sweep.run()["cascaded"] == 0
    wiring.flusher.flush(Strategy.BACKGROUND, 1000)
    assert wiring.cache.stores.redis.read("b:1") is not None


def test_it_is_invalidated_if_that_is_set(cascading: Wiring) -> None:
    stores = cascading.cache.stores
    fill(cascading, "a:1", lifetime_s=SOON_S)
    fill(cascading, "b:1", "a:1")
    fill(cascading, "c:1", "b:1")
    fill(cascading, "other:1", lifetime_s=SOON_S)
    have_expired(cascading, "a:1", "other:1")
    assert cascading.expiry_sweep.run() == {
        "entries": 2,
        "nodes_pruned": 0,
        "cascaded": 1,
        "device_files": 0,
    }
    cascading.flusher.flush(Strategy.BACKGROUND, 1000)
    assert stores.redis.read("b:1") is None
    assert stores.redis.read("c:1") is None
    (receipt,) = cascading.cache.records()
    assert (receipt.names, receipt.reason) == (["a:1"], "it has expired")
    assert cascading.expiry_sweep.run()["cascaded"] == 0


def test_so_it_is_when_the_value_was_made_anew_before_the_sweep(cascading: Wiring) -> None:
    stores = cascading.cache.stores
    fill(cascading, "a:1", lifetime_s=SOON_S)
    fill(cascading, "b:1", "a:1")
    have_expired(cascading, "a:1")
    wait_until(lambda: time.time() > (stores.expiry.when("a:1") or 0) + 1)
    fill(cascading, "a:1")
    assert cascading.expiry_sweep.run()["cascaded"] == 1
    cascading.flusher.flush(Strategy.BACKGROUND, 1000)
    assert stores.redis.read("b:1") is None


def test_a_sweep_that_was_killed_before_it_asked_is_made_up_for(cascading: Wiring) -> None:
    stores = cascading.cache.stores
    fill(cascading, "a:1", lifetime_s=SOON_S)
    fill(cascading, "b:1", "a:1")
    have_expired(cascading, "a:1")
    assert cascading.expiry_sweep.entries().removed == 1  # and no more
    assert stores.expiry.expired(10) == ["a:1"]
    assert cascading.expiry_sweep.run()["cascaded"] == 1
    assert stores.expiry.expired(10) == []


def test_what_was_kept_for_a_setting_that_is_off_now_is_forgotten(
    wiring: Wiring, cascading: Wiring
) -> None:
    fill(cascading, "a:1", lifetime_s=SOON_S)
    fill(cascading, "b:1", "a:1")
    have_expired(cascading, "a:1")
    cascading.expiry_sweep.entries()
    assert wiring.expiry_sweep.run()["cascaded"] == 0
    assert wiring.cache.stores.expiry.expired(10) == []


def test_what_lives_longer_meanwhile_is_not_swept(wiring: Wiring) -> None:
    stores = wiring.cache.stores
    fill(wiring, "a:1", lifetime_s=SOON_S)
    found = stores.redis.read("a:1")
    assert found is not None
    accessed = Accessed("a:1", found.entry.filled, 5, Lifetime(SOON_S, 2, 60))
    (expires,) = stores.expiry.extend([accessed])
    wait_until(lambda: time.time() > found.entry.filled + SOON_S + 0.1)
    assert wiring.expiry_sweep.entries().removed == 0
    kept = stores.redis.read("a:1")
    assert kept is not None
    assert kept.entry.expires == expires
