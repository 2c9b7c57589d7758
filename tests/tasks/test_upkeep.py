"""Upkeep: stalled batches, the graph, records, and the sign that the schedule is alive."""

from __future__ import annotations

import json
import time

from celery import Celery
from kombu import Consumer, Message
from kombu import Queue as KombuQueue

from cachekeeper.client.cache import Cache
from cachekeeper.core.receipt import Status
from cachekeeper.core.request import make_request
from cachekeeper.core.stamps import source_of_key
from cachekeeper.core.strategy import Strategy
from cachekeeper.names import QUEUES, SENT, Task
from cachekeeper.store.redis.records import ATTEMPTS
from tests.tasks.conftest import Run
from workers.wiring import DAY_S, Wiring

DONE_S = 10


class TestStalledBatches:
    """A claim whose worker died is taken up by another."""

    def test_an_overdue_claim_is_requeued_and_then_done(self, cache: Cache, run: Run) -> None:
        pending = cache.stores.pending
        handle = cache.invalidate("photo:a", strategy=Strategy.BACKGROUND)
        assert pending.claim(Strategy.BACKGROUND, "one that died", 10, time.time() - 1)
        assert run(Task.FLUSH_BACKGROUND)["requests"] == 0

        assert run(Task.RECOVER_BATCHES) == {"requeued": 1, "buried": 0, "warm_jobs": 0}

        assert run(Task.FLUSH_BACKGROUND)["requests"] == 1
        assert handle.wait(DONE_S).status is Status.DONE
        assert pending.complete(Strategy.BACKGROUND, "one that died", [handle.id]) == 0

    def test_a_claim_in_time_is_left_alone(self, cache: Cache, run: Run) -> None:
        cache.invalidate("photo:a", strategy=Strategy.SCHEDULED)
        cache.stores.pending.claim(Strategy.SCHEDULED, "at work", 10, time.time() + 60)
        assert run(Task.RECOVER_BATCHES) == {"requeued": 0, "buried": 0, "warm_jobs": 0}
        assert run(Task.CLEAN_PENDING)["requests_forgotten"] == 0

    def test_what_was_claimed_too_often_is_buried(
        self, cache: Cache, wiring: Wiring, run: Run
    ) -> None:
        handle = cache.invalidate("photo:a", strategy=Strategy.BACKGROUND)
        for _ in range(ATTEMPTS):
            assert cache.stores.pending.claim(Strategy.BACKGROUND, "dies", 10, time.time() - 1)
            assert run(Task.RECOVER_BATCHES) == {"requeued": 1, "buried": 0, "warm_jobs": 0}
        cache.stores.pending.claim(Strategy.BACKGROUND, "dies", 10, time.time() - 1)
        assert run(Task.RECOVER_BATCHES) == {"requeued": 0, "buried": 1, "warm_jobs": 0}
        (letter,) = wiring.dead_letters.recent(10)
        assert "claimed too often" in letter.reason
        assert letter.work["id"] == letter.arguments["id"] == handle.id
        assert run(Task.FLUSH_BACKGROUND)["requests"] == 0


def test_requests_of_no_set_and_nodes_that_are_gone_are_forgotten(
    wiring: Wiring, cache: Cache, run: Run
) -> None:
    waiting = cache.invalidate("photo:a", strategy=Strategy.SCHEDULED)
    connection, nodes = cache.stores.connection, cache.stores.nodes
    orphan = make_request(id="orphan", at=0, keys=["photo:b"])
    connection.redis.hset(connection.layout.requests, orphan.id, json.dumps(orphan.to_wire()))
    nodes.join("gone")
    silent_since = time.time() - 100 * wiring.settings.lease_s
    connection.redis.zadd(connection.layout.renewals, {"gone": silent_since})

    assert run(Task.CLEAN_PENDING) == {"requests_forgotten": 1, "nodes_forgotten": 1}

    assert [raw.decode() for raw in connection.redis.hkeys(connection.layout.requests)] == [
        waiting.id
    ]
    _, left = nodes.acknowledged()
    assert "gone" not in left
    assert len(left) == 1, "the client is a node that lives"


def test_records_and_marks_are_trimmed_when_nothing_can_need_them(wiring: Wiring, run: Run) -> None:
    stores, now = wiring.cache.stores, time.time()
    for name, at in {"old": now - 60 * DAY_S, "new": now}.items():
        request = make_request(id=name, at=at, keys=[f"photo:{name}"])
        stores.marks.mark([request], at)
        stores.receipts.save([wiring.invalidator.refuse(request, ValueError("a test"))])

    assert run(Task.TRIM_RECORDS) == {"records_trimmed": 1, "marks_trimmed": 1, "groups_dropped": 0}

    assert [receipt.id for receipt in stores.receipts.recent(10)] == ["new"]
    assert stores.marks.last([source_of_key("photo:old")]) is None
    assert stores.marks.last([source_of_key("photo:new")]) is not None
    assert stores.marks.now().epoch == 2


class TestTheGraph:
    """The refresh keeps the shared graph small and its figures current."""

    def test_its_figures_are_published(self, cache: Cache, run: Run) -> None:
        photos, thumbs = cache.namespace("photo"), cache.namespace("thumb")
        photos.loader(lambda name: name.encode())
        thumbs.loader(lambda name: photos.get(name[0]))
        for name in ("a1", "a2", "b1"):
            thumbs.get(name)

        figures = run(Task.REFRESH_GRAPH)

        expected = {"nodes": 5, "edges": 3, "largest_fan_out": 2, "cycles": 0, "pruned": 0}
        assert expected.items() <= figures.items()
        assert expected.items() <= cache.stores.graph.statistics().items()

    def test_a_chain_without_values_goes_at_once_and_a_living_one_stays(
        self, cache: Cache, run: Run
    ) -> None:
        graph = cache.stores.graph
        graph.link("thumb:dead", ["photo:dead"])
        graph.link("page:dead", ["thumb:dead"])
        photos, thumbs = cache.namespace("photo"), cache.namespace("thumb")
        photos.loader(lambda name: name.encode())
        thumbs.loader(photos.get)
        thumbs.get("a")

        assert run(Task.REFRESH_GRAPH)["pruned"] == 2

        assert sorted(graph.nodes()) == ["photo:a", "thumb:a"]
        assert list(graph.edges()) == [("photo:a", "thumb:a")]

    def test_a_cycle_is_counted_and_invalidated_as_a_whole(self, cache: Cache, run: Run) -> None:
        cache.stores.graph.link("page:a", ["page:b"])
        cache.stores.graph.link("page:b", ["page:a"])
        assert run(Task.REFRESH_GRAPH)["cycles"] == 1
        receipt = cache.invalidate("page:a").wait(DONE_S, purged=True)
        assert sorted(receipt.affected) == ["page:a", "page:b"]
        assert "1 cycles" in " ".join(receipt.limits)


def test_a_heartbeat_says_that_the_schedule_is_alive(wiring: Wiring, run: Run) -> None:
    before = time.time()
    run(Task.HEARTBEAT)
    said = wiring.activity.last()[Task.HEARTBEAT]
    assert before <= said["at"] <= time.time()
    assert {f"{queue} waiting" for queue in QUEUES} <= said["figures"].keys()


def test_what_beat_sends_says_when(wiring: Wiring, celery_session_app: Celery) -> None:
    """A message that no worker of the test takes: it lies in the queue as it was sent."""
    before = time.time()
    with celery_session_app.connection_for_write(wiring.settings.broker_url) as connection:
        found: list[object] = []
        queue = KombuQueue("tests.dated", routing_key="tests.dated", auto_delete=True)
        with Consumer(connection, [queue], on_message=found.append, no_ack=True):
            celery_session_app.send_task(
                Task.HEARTBEAT, queue=queue, connection=connection, expires=60
            )
            connection.drain_events(timeout=5)
    (message,) = found
    assert isinstance(message, Message)
    assert before <= message.headers[SENT] <= time.time()


def test_what_a_scheduled_task_did_is_on_record(wiring: Wiring, cache: Cache, run: Run) -> None:
    for name in ("a", "b"):
        cache.invalidate(f"photo:{name}", strategy=Strategy.BACKGROUND)
        run(Task.FLUSH_BACKGROUND)
    assert wiring.activity.last()[Task.FLUSH_BACKGROUND]["figures"]["requests"] == 1
    assert wiring.activity.totals()[f"{Task.FLUSH_BACKGROUND} requests"] == 2
