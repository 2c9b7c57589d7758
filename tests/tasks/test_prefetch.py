"""Prefetch: the neighbours of a file just read, and forgetting of what was learnt."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from cachekeeper.client.cache import Cache
from cachekeeper.client.devices import open_devices
from cachekeeper.core.dead import Kind, Letter
from cachekeeper.core.device import PREFETCH, DeviceState
from cachekeeper.names import ROUTES, Task
from tasks.prefetch import RETRIES
from tests.support import wait_until
from tests.tasks.conftest import Run, Send
from workers.wiring import Wiring


@pytest.fixture
def pictures(origin: Path) -> list[str]:
    """Twelve pictures, whose names sort by number and not by letter."""
    names = [f"IMG_{i}.jpg" for i in range(1, 13)]
    for name in names:
        (origin / name).write_bytes(name.encode() * 10)
    return names


def test_after_a_read_the_next_files_are_fetched_and_then_are_hits(
    cache: Cache, pictures: list[str]
) -> None:
    phone = cache.device("phone")
    assert phone.get(pictures[0]).hit is False
    following = pictures[1:3]
    wait_until(lambda: set(cache.stores.devices.manifest("phone")) == {pictures[0], *following})
    manifest = cache.stores.devices.manifest("phone")
    assert {manifest[name].by for name in following} == {PREFETCH}
    read = phone.get(pictures[1])
    assert (read.hit, read.body) == (True, pictures[1].encode() * 10)
    counters = phone.ledger().counters
    assert counters["prefetch_used"] == 1
    assert counters["prefetched"] >= len(following)


def test_what_is_held_is_not_fetched_again(run: Run, pictures: list[str]) -> None:
    fields = {"device": "phone", "path": pictures[0]}
    assert run(Task.PREFETCH, **fields) == {"fetched": pictures[1:3]}
    assert run(Task.PREFETCH, **fields) == {"fetched": []}


@pytest.mark.parametrize(
    ("state", "fetches"),
    [
        (DeviceState(metered=False, battery=None, charging=False), True),
        (DeviceState(metered=True, battery=None, charging=True), False),
        (DeviceState(metered=False, battery=19, charging=False), False),
        (DeviceState(metered=False, battery=19, charging=True), True),
        (DeviceState(metered=False, battery=20, charging=False), True),
    ],
)
def test_a_device_that_is_metered_or_low_on_battery_is_spared(
    cache: Cache, run: Run, pictures: list[str], state: DeviceState, fetches: bool
) -> None:
    open_devices(cache).reporter.record("phone", "12345678", [], state)
    fetched = run(Task.PREFETCH, device="phone", path=pictures[0])
    assert fetched == {"fetched": pictures[1:3] if fetches else []}


def test_what_was_often_read_next_comes_first(cache: Cache, run: Run, pictures: list[str]) -> None:
    for _ in range(20):
        follow(cache, pictures[0], pictures[8], time.time())
    learnt = run(Task.PREFETCH, device="phone", path=pictures[0])
    assert learnt == {"fetched": [pictures[8], pictures[1]]}


def follow(cache: Cache, before: str, path: str, at: float) -> None:
    """Have some device read one file after another."""
    device = f"tv-{uuid.uuid4().hex}"
    for each in (before, path):
        cache.stores.predictor.observe(device, each, at, threshold=1, limit=0)


def test_what_was_not_read_for_long_is_forgotten(
    wiring: Wiring, run: Run, pictures: list[str]
) -> None:
    now, long_ago = time.time(), time.time() - 32 * 86400
    follow(wiring.cache, pictures[0], pictures[1], long_ago)
    follow(wiring.cache, pictures[2], pictures[3], now)
    assert run(Task.DECAY_MODEL) == {"forgotten": 2}
    assert run(Task.DECAY_MODEL) == {"forgotten": 0}


class TestASmallDevice:
    """Room for two pictures and a half."""

    @pytest.fixture
    def given(self) -> dict[str, object]:
        """See the class."""
        return {"device_quota": 250, "device_headroom": 0, "device_policy": "retention"}

    def test_a_prediction_evicts_nothing_that_was_asked_for(
        self, cache: Cache, run: Run, pictures: list[str]
    ) -> None:
        for name in pictures[8:]:
            assert cache.device_caches.get("phone", name).kept
        before = set(cache.stores.devices.manifest("phone"))
        assert run(Task.PREFETCH, device="phone", path=pictures[0]) == {"fetched": []}
        assert set(cache.stores.devices.manifest("phone")) == before


def test_a_folder_that_the_origin_does_not_have_is_buried(
    send: Send, letter: Callable[[], Letter]
) -> None:
    send(Task.PREFETCH, device="phone", path="nowhere/a.jpg")
    found = letter()
    assert "nowhere" in found.reason
    assert (found.kind, found.attempts) == (Kind.PERMANENT, 1)
    assert found.names == ["phone", "nowhere/a.jpg"]


def test_a_prediction_is_dropped_when_the_origin_stays_away(
    wiring: Wiring, send: Send, run: Run, broker_url: str, origin: Path
) -> None:
    assert wiring.prefetcher is not None, "made while the folder was there"
    origin.rmdir()
    send(Task.PREFETCH, device="phone", path="a.jpg")
    for _ in range(RETRIES):
        wait_until(lambda: run(Task.DISPATCH_DUE)["sent"] == 1)
    with redis.Redis.from_url(broker_url) as broker:
        wait_until(lambda: not broker.exists(ROUTES[Task.PREFETCH], "unacked"))
    assert wiring.due.waiting() == 0
    assert wiring.dead_letters.recent(1) == []
