"""Units of work: what a transaction makes stale is done once it has committed, or at a deadline."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import redis

from cachekeeper.client.broker import Broker
from cachekeeper.client.cache import Cache
from cachekeeper.client.unit_of_work import UnitOfWork
from cachekeeper.core.receipt import SHOWN, Status
from cachekeeper.core.request import SEEDS_A_MARK, Request, request_from_wire
from cachekeeper.core.strategy import STRATEGIES, Strategy
from cachekeeper.errors import CacheFull, CacheUnavailable, InvalidInput
from cachekeeper.names import QUEUES
from cachekeeper.services import prepared as sweep
from cachekeeper.settings import Settings
from cachekeeper.store.redis import prepared as store
from tests.contract.conftest import OwnServer
from tests.support import unused_port, wait_until
from workers.wiring import Wiring

NOBODY = f"redis://127.0.0.1:{unused_port()}/0"
SOON_S = 0.05
AGAIN_S = 60.0


class Failure(Exception):
    """What a transaction may end with."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnServer]:
    """Of the module: its queues are nobody else's."""
    server = OwnServer(tmp_path_factory.mktemp("server"))
    server.start()
    yield server
    server.stop()


def settings(server: OwnServer, state: Path) -> Settings:
    """Of a deployment of the test's own."""
    return Settings(
        cache_url=server.url,
        broker_url=server.url,
        deployment=f"test-{uuid.uuid4().hex[:12]}",
        state=state,
        memory_bytes=0,
    )


@pytest.fixture
def given(server: OwnServer, tmp_path: Path) -> Iterator[Settings]:
    yield settings(server, tmp_path)
    with redis.Redis.from_url(server.url) as client:
        client.delete(*QUEUES)


@pytest.fixture
def cache(given: Settings) -> Iterator[Cache]:
    with Cache(given) as cache:
        yield cache


@pytest.fixture
def wiring(given: Settings) -> Iterator[Wiring]:
    """What a worker of the deployment does."""
    wiring = Wiring(given)
    yield wiring
    wiring.cache.close()


def waiting(cache: Cache) -> tuple[int, int]:
    """How many requests are prepared, and how many released and not known to be sent."""
    return cache.stores.prepared.waiting()


def queued(cache: Cache) -> dict[str, int]:
    """How many messages each queue holds, but for empty ones."""
    redis = cache.stores.connection.redis
    lengths = {queue: int(redis.llen(queue)) for queue in QUEUES}
    return {queue: length for queue, length in lengths.items() if length}


def overdue(cache: Cache) -> list[Request]:
    """What the sweep is given, once there is something."""
    found = wait_until(lambda: cache.stores.prepared.overdue(100, AGAIN_S))
    return [request_from_wire(wire) for wire in found]


def away(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    """The broker can't be reached; the cache server can."""
    monkeypatch.setattr(cache, "broker", Broker(NOBODY))


class TestCommit:
    """Has done what was collected, under any strategy."""

    @pytest.mark.parametrize("strategy", Strategy)
    def test_it_goes_the_way_of_its_strategy(self, cache: Cache, strategy: Strategy) -> None:
        with cache.unit_of_work(strategy=strategy, consistency="strict", reason="saved") as work:
            work.invalidate(["note:a", "note:b"])
            work.invalidate("note:a", tag="x", namespace="page")
            work.prepare()
            assert waiting(cache) == (1, 0)
            assert queued(cache) == {}
        (handle,) = work.receipts
        receipt = handle.read()
        assert (receipt.status, receipt.names) == ("pending", ["note:a", "note:b", "x", "page"])
        assert (receipt.strategy, receipt.consistency) == (strategy, "strict")
        assert receipt.reason == "saved"
        rule = STRATEGIES[strategy]
        assert queued(cache) == ({} if rule.waits else {rule.queue: 1})
        assert cache.stores.pending.waiting(strategy) == int(rule.waits)
        assert waiting(cache) == (0, 0)

    def test_without_prepare_it_is_done_as_well(self, cache: Cache) -> None:
        with cache.unit_of_work() as work:
            work.invalidate("note:a")
            assert waiting(cache) == (0, 0)
        assert work.receipts[0].read().names == ["note:a"]
        assert waiting(cache) == (0, 0)

    def test_nothing_collected_is_nothing_recorded(self, cache: Cache) -> None:
        with cache.unit_of_work() as work:
            work.prepare()
            work.invalidate([])
        assert work.receipts == work.commit() == []
        redis = cache.stores.connection.redis
        assert not list(redis.scan_iter(match=f"{cache.stores.connection.layout.prepared}*"))
        assert cache.stores.receipts.recent(5) == []

    def test_called_twice_it_has_done_it_once(self, cache: Cache) -> None:
        with cache.unit_of_work() as work:
            work.invalidate("note:a")
            work.prepare()
            first = work.commit()
        assert work.commit() == work.receipts == first
        assert sum(queued(cache).values()) == 1

    def test_more_names_than_a_request_holds_are_several(self, cache: Cache) -> None:
        keys = [f"note:{i}" for i in range(2 * SEEDS_A_MARK + 1)]
        with cache.unit_of_work(strategy=Strategy.BACKGROUND) as work:
            work.invalidate(keys)
            work.prepare()
            assert waiting(cache) == (3, 0)
        assert [len(handle.read().names) for handle in work.receipts] == [SHOWN, SHOWN, 1]
        waited = cache.stores.pending.claim(Strategy.BACKGROUND, "t", 5, time.time() + 60)
        assert [key for request in waited for key in request.keys] == keys

    def test_what_is_collected_after_prepare_is_recorded_at_once(self, cache: Cache) -> None:
        with cache.unit_of_work() as work:
            work.invalidate("note:a")
            work.prepare()
            work.invalidate(["note:a", "note:b"])
            assert waiting(cache) == (2, 0)
            work.prepare()
            assert waiting(cache) == (2, 0)
        assert [handle.read().names for handle in work.receipts] == [["note:a"], ["note:b"]]

    def test_after_its_deadline_it_is_done_once_more(self, cache: Cache, wiring: Wiring) -> None:
        """Done at the deadline it came before the commit, when the old value could be read."""
        work = cache.unit_of_work(deadline_s=SOON_S)
        work.invalidate("note:a")
        work.prepare()
        (early,) = overdue(cache)
        wiring.invalidator.run([early])
        cache.stores.prepared.forget([early.id])
        (handle,) = work.commit()
        assert handle.id != early.id
        assert handle.read().status is Status.PENDING
        (wire,) = queued(cache).values()
        assert wire == 1
        later = replace(early, id=handle.id)
        (receipt,) = wiring.invalidator.run([later])
        assert receipt.epoch == 2


class TestRollback:
    """Takes back what was recorded."""

    def test_it_cancels(self, cache: Cache) -> None:
        work = cache.unit_of_work()
        work.invalidate("note:a")
        work.prepare()
        work.rollback()
        work.rollback()
        assert waiting(cache) == (0, 0)
        assert (work.receipts, queued(cache)) == ([], {})

    def test_after_a_commit_it_changes_nothing(self, cache: Cache) -> None:
        work = cache.unit_of_work(strategy=Strategy.BACKGROUND)
        work.invalidate("note:a")
        work.commit()
        work.rollback()
        assert cache.stores.pending.waiting(Strategy.BACKGROUND) == 1
        assert len(work.receipts) == 1

    def test_an_error_before_prepare_rolls_back(self, cache: Cache) -> None:
        work = cache.unit_of_work(deadline_s=SOON_S)
        work.invalidate("note:a")
        with pytest.raises(Failure), work:
            raise Failure
        assert waiting(cache) == (0, 0)
        assert work.receipts == []

    def test_an_error_after_prepare_leaves_it_to_its_deadline(
        self, cache: Cache, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The database may have committed, and its answer been lost."""
        work = cache.unit_of_work(deadline_s=SOON_S)
        work.invalidate("note:a")
        work.prepare()
        with pytest.raises(Failure), work:
            raise Failure
        assert "done at its deadline" in caplog.text
        assert [request.keys for request in overdue(cache)] == [("note:a",)]

    def test_said_so_an_error_after_prepare_cancels(self, cache: Cache) -> None:
        work = cache.unit_of_work()
        work.invalidate("note:a")
        work.prepare()
        work.rollback()
        with pytest.raises(Failure), work:
            raise Failure
        assert waiting(cache) == (0, 0)

    def test_rolled_back_inside_it_is_not_done_at_the_end(self, cache: Cache) -> None:
        with cache.unit_of_work() as work:
            work.invalidate("note:a")
            work.rollback()
        assert work.receipts == []
        assert queued(cache) == {}

    def test_what_was_done_at_the_deadline_can_not_be_taken_back(self, cache: Cache) -> None:
        work = cache.unit_of_work(deadline_s=SOON_S)
        work.invalidate("note:a")
        work.prepare()
        (given_out,) = wait_until(lambda: cache.stores.prepared.overdue(10, SOON_S))
        work.rollback()
        assert waiting(cache) == (0, 1)
        assert [request.id for request in overdue(cache)] == [given_out["id"]], "by one that died"


class TestDeadline:
    """If nobody says how the transaction ended."""

    @pytest.mark.parametrize("strategy", Strategy)
    def test_the_sweep_sends_it_once_to_the_queue_of_its_strategy(
        self, cache: Cache, wiring: Wiring, strategy: Strategy
    ) -> None:
        work = cache.unit_of_work(deadline_s=SOON_S, strategy=strategy)
        work.invalidate("note:a")
        work.prepare()
        wait_until(lambda: wiring.prepared_sweep.run()["fired"])
        assert queued(cache) == {STRATEGIES[strategy].queue: 1}
        assert waiting(cache) == (0, 0)
        assert wiring.prepared_sweep.run() == {"fired": 0}

    def test_before_it_nothing_happens(self, cache: Cache, wiring: Wiring) -> None:
        work = cache.unit_of_work(deadline_s=60)
        work.invalidate("note:a")
        work.prepare()
        assert wiring.prepared_sweep.run() == {"fired": 0}
        assert waiting(cache) == (1, 0)

    def test_a_sweep_that_dies_is_followed_by_another(self, cache: Cache, wiring: Wiring) -> None:
        work = cache.unit_of_work(deadline_s=SOON_S)
        work.invalidate("note:a")
        work.prepare()
        wait_until(lambda: cache.stores.prepared.overdue(10, SOON_S))  # and is never heard of again
        wait_until(lambda: wiring.prepared_sweep.run()["fired"])
        assert waiting(cache) == (0, 0)

    def test_two_sweeps_at_once_are_not_given_the_same(self, cache: Cache) -> None:
        work = cache.unit_of_work(deadline_s=SOON_S)
        work.invalidate("note:a")
        work.prepare()
        assert len(overdue(cache)) == 1
        assert cache.stores.prepared.overdue(10, AGAIN_S) == []

    def test_more_than_one_chunk_is_sent(
        self, cache: Cache, wiring: Wiring, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sweep, "AT_ONCE", 2)
        for i in range(5):
            work = cache.unit_of_work(deadline_s=SOON_S)
            work.invalidate(f"note:{i}")
            work.prepare()
        prepared = time.time()
        wait_until(lambda: time.time() > prepared + SOON_S)
        assert wiring.prepared_sweep.run() == {"fired": 5}

    def test_a_request_that_this_version_does_not_know_is_left_to_the_task(
        self, cache: Cache, wiring: Wiring
    ) -> None:
        work = cache.unit_of_work(deadline_s=SOON_S)
        work.invalidate("note:a")
        work.prepare()
        redis, layout = cache.stores.connection.redis, cache.stores.connection.layout
        (name,) = redis.hkeys(layout.prepared_requests)
        redis.hset(layout.prepared_requests, name, b'{"id": "x", "strategy": "of tomorrow"}')
        wait_until(lambda: wiring.prepared_sweep.run()["fired"])
        assert sum(queued(cache).values()) == 1


class TestServersAway:
    """Before the commit it is an error; after it, a warning as long as the deadline stands."""

    @pytest.fixture
    def given(self, own_server: OwnServer, tmp_path: Path) -> Settings:
        """On a server of the test's own."""
        return settings(own_server, tmp_path)

    def test_without_the_broker_it_is_done_by_the_sweep(
        self,
        cache: Cache,
        wiring: Wiring,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        away(cache, monkeypatch)
        with cache.unit_of_work(deadline_s=SOON_S) as work:
            work.invalidate("note:a")
            work.prepare()
        (handle,) = work.receipts
        assert handle.read().status is Status.PENDING
        assert "done at its deadline" in caplog.text
        assert handle.id in caplog.text
        (request,) = overdue(cache)
        assert request.id == handle.id
        (receipt,) = wiring.invalidator.run([request])
        assert handle.wait(1).status is receipt.status is Status.DONE

    def test_without_the_broker_no_long_deadline_is_waited_for(
        self, cache: Cache, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The transaction has committed: there is nothing more to wait for."""
        monkeypatch.setattr(store, "SENT_BY_S", SOON_S)
        away(cache, monkeypatch)
        with cache.unit_of_work(deadline_s=3600) as work:
            work.invalidate("note:a")
            work.prepare()
        assert [request.id for request in overdue(cache)] == [work.receipts[0].id]

    def test_without_the_cache_server_nothing_is_prepared(
        self, cache: Cache, own_server: OwnServer
    ) -> None:
        work = cache.unit_of_work()
        work.invalidate("note:a")
        own_server.stop()
        with pytest.raises(CacheUnavailable):
            work.prepare()
        work.rollback()
        with cache.unit_of_work() as late:
            late.prepare()  # nothing to record
            with pytest.raises(CacheUnavailable):
                late.invalidate("note:a")
            late.rollback()

    def test_a_commit_without_the_cache_server_is_done_when_it_is_back(
        self, cache: Cache, own_server: OwnServer, caplog: pytest.LogCaptureFixture
    ) -> None:
        work = cache.unit_of_work(deadline_s=2)
        work.invalidate("note:a")
        work.prepare()
        own_server.stop()
        (handle,) = work.commit()
        assert "done at its deadline" in caplog.text
        own_server.start()
        assert [request.id for request in overdue(cache)] == [handle.id]

    def test_a_rollback_without_the_cache_server_is_done_in_vain(
        self, cache: Cache, own_server: OwnServer, caplog: pytest.LogCaptureFixture
    ) -> None:
        work = cache.unit_of_work(deadline_s=0.5)
        work.invalidate("note:a")
        work.prepare()
        own_server.stop()
        work.rollback()
        assert "not cancelled" in caplog.text
        own_server.start()
        assert len(overdue(cache)) == 1

    def test_a_commit_after_the_deadline_without_the_cache_server_is_an_error_until_it_is_back(
        self, cache: Cache, own_server: OwnServer
    ) -> None:
        """Perhaps it was done before the commit: nothing is left that would do it again."""
        work = cache.unit_of_work(deadline_s=SOON_S)
        work.invalidate("note:a")
        work.prepare()
        cache.stores.prepared.forget([request.id for request in overdue(cache)])
        own_server.stop()
        with pytest.raises(CacheUnavailable):
            work.commit()
        own_server.start()
        (handle,) = work.commit()
        assert handle.read().status is Status.PENDING

    def test_a_full_server_refuses_before_the_commit_and_not_after(
        self, cache: Cache, own_server: OwnServer
    ) -> None:
        redis = cache.stores.connection.redis
        work, slow = cache.unit_of_work(), cache.unit_of_work(deadline_s=SOON_S)
        for unit in (work, slow):
            unit.invalidate("note:a")
            unit.prepare()
        cache.stores.prepared.forget([request.id for request in overdue(cache)])
        redis.config_set("maxmemory", redis.info("memory")["used_memory"] - 1)
        late = cache.unit_of_work()
        late.invalidate("note:b")
        with pytest.raises(CacheFull):
            late.prepare()
        late.rollback()
        for unit in (work, slow):
            (handle,) = unit.commit()  # the broker is the same server, and takes nothing
            assert handle.read().status is Status.PENDING
        assert waiting(cache) == (0, 2)
        redis.config_set("maxmemory", 0)
        assert own_server.running

    def test_what_is_recorded_is_bounded(
        self, cache: Cache, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(store, "PREPARED_AT_MOST", 2)
        work = cache.unit_of_work()
        work.invalidate("note:a")
        work.prepare()
        work.invalidate("note:b")
        third = cache.unit_of_work()
        third.invalidate("note:c")
        with pytest.raises(CacheFull, match="2 wait"):
            third.prepare()
        assert waiting(cache) == (2, 0)
        work.rollback()
        third.prepare()
        assert waiting(cache) == (1, 0)


@pytest.mark.parametrize(
    ("how", "field"),
    [
        ({"deadline_s": 0}, "deadline_s"),
        ({"deadline_s": "30"}, "deadline_s"),
        ({"deadline_s": True}, "deadline_s"),
        ({"deadline_s": float("nan")}, "deadline_s"),
        ({"deadline_s": 86401}, "deadline_s"),
        ({"strategy": "soon"}, "strategy"),
        ({"consistency": "sure"}, "consistency"),
        ({"reason": 3}, "reason"),
        ({"cascade": None}, "cascade"),
    ],
)
def test_a_malformed_unit_is_refused_when_it_is_made(
    cache: Cache, how: dict[str, object], field: str
) -> None:
    with pytest.raises(InvalidInput, match=f"^{field}: "):
        cache.unit_of_work(**how)  # type: ignore[arg-type]  # as a caller without a type checker


@pytest.mark.parametrize(
    ("names", "field"),
    [
        ({"keys": "note"}, r"keys\[0\]"),
        ({"keys": ["note:a", 3]}, r"keys\[1\]"),
        ({"keys": 5}, "keys"),
        ({"tag": ""}, "tag"),
        ({"namespace": "a:b"}, "namespace"),
    ],
)
def test_malformed_names_are_refused_and_nothing_is_collected(
    cache: Cache, names: dict[str, object], field: str
) -> None:
    with cache.unit_of_work() as work, pytest.raises(InvalidInput, match=f"^{field}: "):
        work.invalidate(**names)  # type: ignore[arg-type]  # as above
    assert work.receipts == []


@pytest.mark.parametrize("end", [UnitOfWork.commit, UnitOfWork.rollback])
def test_a_unit_that_has_ended_takes_no_more(
    cache: Cache, end: Callable[[UnitOfWork], object]
) -> None:
    work = cache.unit_of_work()
    end(work)
    with pytest.raises(InvalidInput, match=r"^unit of work: 'ended'"):
        work.invalidate("note:a")
    with pytest.raises(InvalidInput, match=r"^unit of work: 'ended'"):
        work.prepare()
    if end is UnitOfWork.rollback:
        with pytest.raises(InvalidInput, match=r"^unit of work: 'ended'"):
            work.commit()


def test_keys_of_units_are_truth_and_have_no_expiry(cache: Cache) -> None:
    layout = cache.stores.connection.layout
    work = cache.unit_of_work(deadline_s=SOON_S)
    work.invalidate("note:a")
    work.prepare()
    overdue(cache)
    other = cache.unit_of_work()
    other.invalidate("note:b")
    other.prepare()
    found = list(cache.stores.connection.redis.scan_iter(match=f"{layout.prepared}*"))
    assert len(found) == 3
    assert all(layout.is_truth(raw.decode()) for raw in found)
    assert {cache.stores.connection.redis.ttl(raw) for raw in found} == {-1}
