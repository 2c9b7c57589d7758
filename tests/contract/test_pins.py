"""Pins: a ledger of their own, which no eviction, expiry or restart takes from."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cachekeeper.client.cache import Cache
from cachekeeper.client.stores import open_stores
from cachekeeper.core.device import PREFETCH, Limits
from cachekeeper.core.retention import DAY_S, Priority
from cachekeeper.errors import Busy, InvalidInput, OriginMissing, QuotaExceeded
from cachekeeper.services.pins import Pinner
from cachekeeper.settings import Settings
from cachekeeper.store.redis.devices import FORMS
from tests.contract.conftest import OwnServer
from tests.contract.test_device_ledger import DEVICE, HEADROOM, QUOTA, RACE_S, Host


@pytest.fixture(params=FORMS)
def host(
    server_url: str, deployment: str, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Host]:
    """With each of the policies that a device may have."""
    settings = Settings(state=tmp_path / "state", deployment=deployment)
    stores = open_stores(settings, server_url, lambda *_: True)
    yield Host(stores, tmp_path / "origin", Limits(QUOTA, HEADROOM, request.param))
    stores.connection.close()


@pytest.fixture
def pinner(host: Host) -> Pinner:
    return Pinner(
        pins=host.stores.pins, caches=host.caches, limits=lambda _: host.limits, now=host.now
    )


def agree(host: Host) -> None:
    """Ledger, pins, manifest, disk and the order of eviction tell the same."""
    host.check()
    devices, layout = host.stores.devices, host.stores.connection.layout
    pins, manifest = host.stores.pins.pins(DEVICE), devices.manifest(DEVICE)
    # A path whose new copy found no room just now is pinned as it comes.
    assert pins == {path: manifest[path].size if path in manifest else 0 for path in pins}
    assert devices.ledger(DEVICE).pinned == sum(pins.values()) <= QUOTA
    ranked = host.stores.connection.redis.zrange(layout.rank(DEVICE, host.limits.policy), 0, -1)
    assert {raw.decode() for raw in ranked} == manifest.keys() - pins.keys()


def test_a_pinned_file_outlives_all_others(host: Host, pinner: Pinner) -> None:
    for i in range(10):
        host.origin[str(i)] = bytes([i]) * 1000
    assert pinner.pin(DEVICE, "0") == 1000
    for i in range(1, 10):
        host.caches.get(DEVICE, str(i))
    host.caches.evict(DEVICE, 100_000)
    assert list(host.stores.devices.manifest(DEVICE)) == ["0"]
    agree(host)


def test_reading_and_editing_leave_it_pinned(host: Host, pinner: Pinner) -> None:
    host.edit("a", b"old")
    pinner.pin(DEVICE, "a")
    assert host.caches.get(DEVICE, "a").hit
    agree(host)
    host.edit("a", b"newer" * 100)
    assert host.caches.get(DEVICE, "a").body == b"newer" * 100
    assert pinner.pins(DEVICE) == {"a": 500}
    agree(host)
    assert host.caches.evict(DEVICE, 1) == []


def test_pinned_twice_is_pinned_once(host: Host, pinner: Pinner) -> None:
    host.origin["a"] = b"a" * 600
    assert pinner.pin(DEVICE, "a") == pinner.pin(DEVICE, "a") == 600
    agree(host)


def test_pins_beyond_the_quota_are_refused_and_nothing_makes_way(
    host: Host, pinner: Pinner
) -> None:
    host.origin.update(a=b"a" * 6000, b=b"b" * 4001, c=b"c" * 1000)
    pinner.pin(DEVICE, "a")
    host.caches.get(DEVICE, "c")
    assert host.stores.pins.pins(DEVICE) == {"a": 6000}
    with pytest.raises(QuotaExceeded, match=r"b: 4001 bytes .* beside what is pinned, .* 10000"):
        pinner.pin(DEVICE, "b")
    assert host.stores.devices.manifest(DEVICE).keys() == {"a", "c"}
    agree(host)


def test_what_is_held_already_is_refused_beyond_a_quota_that_was_lowered(
    host: Host, pinner: Pinner
) -> None:
    host.origin.update(a=b"a" * 3000, b=b"b" * 3000)
    host.caches.get(DEVICE, "a")
    host.caches.get(DEVICE, "b")
    host.limits = Limits(5000, 0, host.limits.policy)
    pinner.pin(DEVICE, "a")
    said = (
        r"b: 3000 bytes can't be pinned on anna-phone: 3000 are pinned already, of a quota of 5000"
    )
    with pytest.raises(QuotaExceeded, match=said):
        pinner.pin(DEVICE, "b")
    agree(host)


def test_a_read_that_only_pins_could_make_room_for_evicts_nothing(
    host: Host, pinner: Pinner
) -> None:
    host.origin.update(a=b"a" * 6000, b=b"b" * 5000, c=b"c" * 1000)
    pinner.pin(DEVICE, "a")
    host.caches.get(DEVICE, "c")
    read = host.caches.get(DEVICE, "b")
    assert (len(read.body), read.kept) == (5000, False)
    assert "beside what is pinned" in read.refused
    assert host.stores.devices.manifest(DEVICE).keys() == {"a", "c"}


def test_the_sweep_leaves_what_fits_beside_the_pins(host: Host, pinner: Pinner) -> None:
    """Its water marks are of the room that pins leave: pins above 90 % would empty the rest."""
    host.origin.update(a=b"a" * 9500, b=b"b" * 400)
    pinner.pin(DEVICE, "a")
    host.caches.get(DEVICE, "b")
    assert host.sweep.run()["evicted"] == 0
    assert host.stores.devices.manifest(DEVICE).keys() == {"a", "b"}


def test_a_pinned_file_stays_when_it_has_expired(host: Host, pinner: Pinner) -> None:
    host.origin.update(a=b"a" * 10, b=b"b" * 10)
    pinner.pin(DEVICE, "a")
    host.caches.get(DEVICE, "b")
    host.ahead_s = 31 * DAY_S
    assert host.caches.expire(DEVICE) == ["b"]
    assert not host.caches.get(DEVICE, "a").hit  # but a read sees to a new one
    agree(host)


def test_what_is_unpinned_can_be_evicted_again(host: Host, pinner: Pinner) -> None:
    host.origin["a"] = b"a" * 10
    pinner.pin(DEVICE, "a")
    assert pinner.unpin(DEVICE, "a")
    assert not pinner.unpin(DEVICE, "a")
    agree(host)
    assert host.caches.evict(DEVICE, 1) == ["a"]
    agree(host)


def test_pinning_what_was_predicted(host: Host, pinner: Pinner) -> None:
    host.origin["a"] = b"a" * 10
    host.keep("a", Priority.LOW, PREFETCH)
    assert pinner.pin(DEVICE, "a") == 10
    assert host.stores.devices.ledger(DEVICE).counters.get("misses", 0) == 0  # no read of anybody's
    agree(host)


def test_what_is_malformed_or_not_there_is_refused(pinner: Pinner) -> None:
    with pytest.raises(InvalidInput, match="path"):
        pinner.pin(DEVICE, "../a")
    with pytest.raises(InvalidInput, match="device"):
        pinner.pin("Anna's", "a")
    with pytest.raises(OriginMissing):
        pinner.pin(DEVICE, "nothing")
    assert pinner.pins(DEVICE) == {}


def test_a_pinned_file_is_replaced_where_old_and_new_do_not_fit_together(
    host: Host, pinner: Pinner
) -> None:
    host.edit("a", b"a" * 6000)
    pinner.pin(DEVICE, "a")
    host.edit("a", b"A" * 7000)
    assert host.caches.get(DEVICE, "a").body == b"A" * 7000
    assert pinner.pins(DEVICE) == {"a": 7000}
    agree(host)


def test_the_last_good_copy_of_a_pin_stays_where_the_new_one_has_no_room(
    host: Host, pinner: Pinner
) -> None:
    host.edit("a", b"a" * 3000)
    host.origin["b"] = b"b" * 6000
    pinner.pin(DEVICE, "a")
    pinner.pin(DEVICE, "b")
    host.edit("a", b"A" * 5000)
    assert not host.caches.get(DEVICE, "a").kept
    assert pinner.pins(DEVICE) == {"a": 3000, "b": 6000}
    agree(host)


def test_a_pin_makes_room_whatever_the_others_are_worth(host: Host, pinner: Pinner) -> None:
    for i in range(9):
        host.origin[str(i)] = bytes([i]) * 1000
        for _ in range(10):
            host.caches.get(DEVICE, str(i))
    host.origin["new"] = b"n" * 9000
    assert pinner.pin(DEVICE, "new") == 9000
    agree(host)


def test_a_pin_of_what_the_origin_has_lost_waits_for_it(host: Host, pinner: Pinner) -> None:
    host.edit("a", b"a" * 100)
    pinner.pin(DEVICE, "a")
    host.edit("a", b"a")
    (host.folder / "a").unlink()
    with pytest.raises(OriginMissing):
        host.caches.get(DEVICE, "a")
    assert pinner.pins(DEVICE) == {"a": 0}
    agree(host)
    host.edit("a", b"again")
    host.caches.get(DEVICE, "a")
    assert pinner.pins(DEVICE) == {"a": 5}
    agree(host)


def test_a_policy_that_changes_leaves_pins_out_of_its_order(host: Host, pinner: Pinner) -> None:
    host.origin.update(a=b"a" * 10, b=b"b" * 10)
    host.caches.get(DEVICE, "a")
    host.caches.get(DEVICE, "b")
    host.limits = Limits(QUOTA, HEADROOM, "lru" if host.limits.policy != "lru" else "gdga")
    pinner.pin(DEVICE, "a")
    host.sweep.run()
    agree(host)
    pinner.unpin(DEVICE, "a")
    agree(host)


def test_pins_of_many_at_once_never_exceed_the_quota(host: Host, pinner: Pinner) -> None:
    rnd = random.Random(5)
    for i in range(40):
        host.origin[f"f{i}"] = bytes([i]) * rnd.randrange(1, 2500)
    end, worst = time.monotonic() + RACE_S, [0]
    lock = threading.Lock()

    def play(seed: int) -> None:
        mine = random.Random(seed)
        while time.monotonic() < end:
            path = f"f{mine.randrange(40)}"
            chance = mine.random()
            try:
                if chance < 0.3:
                    pinner.pin(DEVICE, path)
                elif chance < 0.5:
                    pinner.unpin(DEVICE, path)
                elif chance < 0.6:
                    host.edit(path, host.origin[path])
                else:
                    host.caches.get(DEVICE, path)
            except (QuotaExceeded, Busy):
                pass
            with lock:
                worst[0] = max(worst[0], host.stores.devices.ledger(DEVICE).pinned)

    with ThreadPoolExecutor(4) as threads:
        for done in [threads.submit(play, seed) for seed in range(4)]:
            done.result()
    assert 0 < worst[0] <= QUOTA
    agree(host)


def test_pins_survive_a_restart_of_the_server(
    own_server: OwnServer, given: Settings, tmp_path: Path
) -> None:
    """What is held is suspect then, and read anew; what is pinned is so still."""
    (tmp_path / "library").mkdir()
    (tmp_path / "library" / "a").write_bytes(b"a" * 100)
    settings = given.model_copy(update={"origin": tmp_path / "library", "memory_bytes": 0})
    with Cache(settings) as cache:
        cache.device(DEVICE).pin("a")
    own_server.restart()
    with Cache(settings) as cache:
        phone = cache.device(DEVICE)
        assert phone.pins() == {"a": 100}
        assert cache.device_caches.evict(DEVICE, 1) == []
        assert not phone.get("a").hit
        assert (phone.pins(), phone.ledger().pinned) == ({"a": 100}, 100)
