"""Prefetch: planned after an access, fetched by itself, and cut off when it is of no use."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from cachekeeper.client.cache import Cache
from cachekeeper.client.devices import open_devices
from cachekeeper.core.device import PREFETCH, DeviceState
from cachekeeper.core.prefetching import DROPPED, Ticket
from cachekeeper.core.stamps import Moment
from cachekeeper.names import ROUTES, Task
from cachekeeper.services.prefetch import Fetched
from tests.reading import EVERYBODY, follow
from tests.slow_origin import Gate, slow_origin
from tests.support import wait_until
from tests.tasks.conftest import Run, Send
from workers.wiring import Wiring

AT_ONCE = 2


@pytest.fixture
def given() -> dict[str, object]:
    """Two files after a read."""
    return {"prefetch_at_once": AT_ONCE}


@pytest.fixture
def pictures(origin: Path, cache: Cache) -> list[str]:
    """Twelve pictures; whoever reads the first of three goes on with the others."""
    names = [f"IMG_{i}.jpg" for i in range(1, 13)]
    for name in names:
        (origin / name).write_bytes(name.encode() * 10)
    for first in range(0, len(names), 3):
        follow(cache, *names[first : first + 3], devices=EVERYBODY)
    return names


def dropped(cache: Cache, device: str = "phone") -> dict[str, int]:
    """Why predictions were not fetched, and how often."""
    counters = cache.device(device).ledger().counters
    return {k.removeprefix(DROPPED): v for k, v in counters.items() if k.startswith(DROPPED)}


def held(cache: Cache, device: str = "phone") -> set[str]:
    """What a device holds."""
    return set(cache.stores.devices.manifest(device))


def test_after_a_read_the_next_files_are_fetched_and_then_are_hits(
    cache: Cache, pictures: list[str]
) -> None:
    phone = cache.device("phone")
    assert phone.get(pictures[0]).hit is False
    following = pictures[1:3]
    wait_until(lambda: held(cache) == {pictures[0], *following})
    manifest = cache.stores.devices.manifest("phone")
    assert {manifest[name].by for name in following} == {PREFETCH}
    read = phone.get(pictures[1])
    assert (read.hit, read.body) == (True, pictures[1].encode() * 10)
    counters = phone.ledger().counters
    assert counters["prefetch_used"] == 1
    assert counters["prefetched"] >= len(following)


def test_what_is_held_or_claimed_is_not_asked_for_again(
    cache: Cache, run: Run, pictures: list[str]
) -> None:
    fields = {"device": "phone", "paths": [pictures[0]]}
    assert sorted(run(Task.PLAN, **fields)["planned"]) == pictures[1:3]
    wait_until(lambda: held(cache) == set(pictures[1:3]))
    assert run(Task.PLAN, **fields) == {"planned": []}
    assert run(Task.PLAN, device="tv", paths=[pictures[1]]) == {"planned": pictures[2:3]}


def test_only_the_last_of_a_batch_is_followed(run: Run, pictures: list[str]) -> None:
    planned = run(Task.PLAN, device="phone", paths=[pictures[0], pictures[6]])["planned"]
    assert sorted(planned) == pictures[7:9]


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
    planned = run(Task.PLAN, device="phone", paths=[pictures[0]])["planned"]
    assert sorted(planned) == (pictures[1:3] if fetches else [])
    assert dropped(cache) == ({} if fetches else {"spared": 1})


def test_one_that_said_so_after_the_plan_is_spared_too(
    wiring: Wiring, cache: Cache, pictures: list[str]
) -> None:
    state = DeviceState(metered=True, battery=None, charging=False)
    open_devices(cache).reporter.record("phone", "12345678", [], state)
    assert fetch(wiring, ticket(wiring, pictures[0])).why == "spared"
    assert held(cache) == set()


def test_no_more_are_planned_than_may_be_at_once(cache: Cache, run: Run) -> None:
    follow(cache, "index", "text", "style", "script", "logo", devices=EVERYBODY)
    learnt = run(Task.PLAN, device="phone", paths=["index"])["planned"]
    assert len(learnt) == AT_ONCE


def test_an_access_of_long_ago_fetches_nothing(cache: Cache, run: Run, pictures: list[str]) -> None:
    fields = {"device": "phone", "paths": [pictures[0]]}
    assert run(Task.PLAN, **fields, at=time.time() - 61) == {"planned": []}
    assert run(Task.PLAN, **fields, until=time.time() - 1) == {"planned": []}
    assert dropped(cache) == {"old": 2}
    # Whoever plays what was recorded says himself how long a fetch is of use.
    assert run(Task.PLAN, **fields, at=1.0, until=time.time() + 9)["planned"]


class TestASmallDevice:
    """Room for two pictures and a half."""

    @pytest.fixture
    def given(self) -> dict[str, object]:
        """See the class."""
        return {"device_quota": 250, "device_headroom": 0, "device_policy": "retention"}

    def test_a_prediction_pushes_out_nothing_that_is_worth_more(
        self, cache: Cache, run: Run, pictures: list[str]
    ) -> None:
        for name in pictures[8:]:
            assert cache.device_caches.get("phone", name).kept
        before = held(cache)
        planned = run(Task.PLAN, device="phone", paths=[pictures[0]])["planned"]
        assert planned
        wait_until(lambda: dropped(cache).get("no_room", 0) == len(planned))
        assert held(cache) == before


class TestAnLruDevice:
    """Room for three pictures, by the order of their last reads."""

    @pytest.fixture
    def given(self) -> dict[str, object]:
        """See the class."""
        return {"device_quota": 330, "device_headroom": 0, "device_policy": "lru"}

    def test_what_is_likely_to_be_read_takes_the_room_of_what_was_read_last(
        self, wiring: Wiring, cache: Cache, pictures: list[str]
    ) -> None:
        for name in pictures[6:9]:
            assert cache.device_caches.get("phone", name).kept
        assert fetch(wiring, ticket(wiring, pictures[0])).why == ""
        assert held(cache) == {pictures[0], *pictures[7:9]}
        assert wiring.cache.stores.files.bytes_on_disk("phone") <= 330


def ticket(wiring: Wiring, path: str) -> Ticket:
    """The leave to fetch a path, planned just now by nobody."""
    planned = wiring.cache.stores.marks.now()
    return Ticket("phone", path, uuid.uuid4().hex, "origin", planned)


def fetch(wiring: Wiring, given: Ticket, probability: float = 0.8) -> Fetched:
    """Fetch, as the task does."""
    return wiring.prefetcher.fetch(given, probability, time.time() + 60)


class TestASlowOrigin:
    """Large pictures, of which the origin gives a piece at a time."""

    @pytest.fixture
    def given(self) -> dict[str, object]:
        """Small enough a limit for all of them to be streamed."""
        return {"redis_value_bytes": 1, "prefetch_per_device": 1}

    @pytest.fixture
    def gate(self, wiring: Wiring, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:  # noqa: ARG002
        """What holds the origin back."""
        with slow_origin(monkeypatch) as gate:
            yield gate

    def test_an_invalidation_in_mid_download_ends_it(
        self,
        wiring: Wiring,
        cache: Cache,
        pictures: list[str],
        gate: Gate,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr("cachekeeper.services.prefetch.RENEW_S", 0.0)
        found = begin(wiring, ticket(wiring, pictures[0]))
        gate.let()
        wait_until(gate.reached.is_set)
        invalidate(cache, f"file:{pictures[0]}")
        gate.let()
        assert found().why == "invalidated"
        assert held(cache) == set()
        ledger = cache.device("phone").ledger()
        assert (ledger.used, ledger.reserved) == (0, 0)
        assert dropped(cache) == {"invalidated": 1}

    def test_one_that_comes_too_late_to_end_it_keeps_it_from_being_stored(
        self, wiring: Wiring, cache: Cache, pictures: list[str], gate: Gate
    ) -> None:
        found = begin(wiring, ticket(wiring, pictures[0]))
        wait_until(gate.reached.is_set)
        invalidate(cache, f"file:{pictures[0]}")
        gate.let(4)
        assert found().why == "invalidated"
        assert held(cache) == set()
        assert cache.device("phone").ledger().reserved == 0

    def test_a_device_has_as_many_at_once_as_may_be(
        self, wiring: Wiring, cache: Cache, pictures: list[str], gate: Gate
    ) -> None:
        found = begin(wiring, ticket(wiring, pictures[0]))
        wait_until(gate.reached.is_set)
        next_one = ticket(wiring, pictures[1])
        assert fetch(wiring, next_one) == Fetched(0, "device_busy", again=True)
        gate.let(4)
        assert found().why == ""
        gate.let(4)
        assert fetch(wiring, next_one).why == ""
        assert held(cache) == set(pictures[:2])

    def test_one_who_claimed_it_before_has_it(
        self, wiring: Wiring, pictures: list[str], gate: Gate
    ) -> None:
        mine = ticket(wiring, pictures[0])
        found = begin(wiring, mine)
        wait_until(gate.reached.is_set)
        assert fetch(wiring, ticket(wiring, pictures[0])).why == "claimed"
        gate.let(4)
        assert found().bytes == len(pictures[0]) * 10
        assert gate.opened == 1


def begin(wiring: Wiring, given: Ticket) -> Callable[[], Fetched]:
    """Fetch in a thread; the function waits for what became of it."""
    results = list[Fetched]()
    thread = threading.Thread(target=lambda: results.append(fetch(wiring, given)), daemon=True)
    thread.start()

    def ended() -> Fetched:
        thread.join(30)
        return results[0]

    return ended


def invalidate(cache: Cache, key: str) -> None:
    """And wait for it."""
    cache.invalidate(key, consistency="strict").wait(15)


def test_what_was_invalidated_since_the_plan_is_not_fetched(
    wiring: Wiring, cache: Cache, pictures: list[str]
) -> None:
    planned = ticket(wiring, pictures[0])
    invalidate(cache, f"file:{pictures[0]}")
    assert fetch(wiring, planned).why == "invalidated"
    before = planned._replace(planned=Moment(planned.planned.incarnation - 1, 10**9))
    assert fetch(wiring, before).why == "invalidated"
    assert held(cache) == set()
    assert fetch(wiring, ticket(wiring, pictures[0])).why == ""


def test_a_file_that_the_origin_does_not_have_is_counted(
    wiring: Wiring, cache: Cache, run: Run
) -> None:
    assert run(Task.PLAN, device="phone", paths=["nowhere/a.jpg"]) == {"planned": []}
    assert fetch(wiring, ticket(wiring, "nowhere/a.jpg")).why == "missing"
    assert dropped(cache) == {"missing": 1}
    assert wiring.dead_letters.recent(1) == []


def test_while_the_origin_is_away_it_is_left_alone_and_predictions_are_dropped_in_the_end(
    wiring: Wiring, cache: Cache, send: Send, run: Run, broker_url: str, origin: Path
) -> None:
    wiring.cache.device_caches.limits("phone")  # made while the folder was there
    away = origin.rename(origin.with_name("away"))
    fields = dict(zip(("incarnation", "epoch"), wiring.cache.stores.marks.now(), strict=True))
    until = time.time() + 3
    given = {"device": "phone", "origin": "origin", "probability": 0.8, "until": until}
    send(Task.PREFETCH, **given, **fields, path="a.jpg", token="one")
    wait_until(lambda: wiring.due.waiting() == 1)
    (away / "b.jpg").write_bytes(b"b")
    assert fetch(wiring, ticket(wiring, "b.jpg")).why == "origin_away"
    wait_until(lambda: run(Task.DISPATCH_DUE) and dropped(cache), seconds=30)
    with redis.Redis.from_url(broker_url) as broker:
        wait_until(lambda: not broker.exists(ROUTES[Task.PREFETCH], "unacked"))
    assert wiring.due.waiting() == 0
    assert set(dropped(cache)) <= {"origin_away", "old"}
    assert wiring.dead_letters.recent(1) == []


def test_when_it_is_back_it_is_asked_again(
    wiring: Wiring, cache: Cache, pictures: list[str], origin: Path
) -> None:
    assert wiring.prefetcher is not None, "made while the folder was there"
    away, mine = origin.rename(origin.with_name("away")), ticket(wiring, pictures[0])
    assert fetch(wiring, mine) == Fetched(0, "origin_away", again=True)
    away.rename(origin)
    wait_until(lambda: fetch(wiring, mine).why == "")
    assert held(cache) == {pictures[0]}


def test_what_was_not_read_for_long_is_forgotten(
    wiring: Wiring, run: Run, pictures: list[str]
) -> None:
    now, long_ago = time.time(), time.time() - 32 * 86400
    follow(wiring.cache, "old 1", "old 2", at=long_ago)
    follow(wiring.cache, *pictures[2:4], at=now)
    assert run(Task.DECAY_MODEL) == {"forgotten": 2}
    assert run(Task.DECAY_MODEL) == {"forgotten": 0}
