"""Anybody who can write to the broker tries to end a worker in processes of its own."""

from __future__ import annotations

import json
from collections.abc import Iterator

import psutil
import pytest
import redis
from pytest_celery import CeleryTestSetup, CeleryTestWorker

from cachekeeper.client.cache import Cache
from cachekeeper.core.dead import Letter
from cachekeeper.core.receipt import Status
from cachekeeper.core.stamps import source_of_key
from cachekeeper.core.strategy import Consistency
from cachekeeper.names import QUEUES, Queue
from cachekeeper.settings import Settings
from cachekeeper.store.redis.dead import KEPT, RedisDeadLetters
from tests.support import wait_until
from tests.tasks.malformed import KEY, MALFORMED, good

DONE_S = 20.0
CONTROL = "/0.celery.pidbox"  # where all workers listen


@pytest.fixture
def broker(rig_settings: Settings) -> Iterator[redis.Redis]:
    """The server of the queues, as anybody sees it who can write there."""
    with redis.Redis.from_url(rig_settings.broker_url or "") as client:
        yield client


def alive(worker: CeleryTestWorker) -> dict[int, float]:
    """The worker's processes and when each began: the same as before, if none was replaced."""
    pids = [process["pid"] for process in worker.get_running_processes_info(["pid"])]
    return {pid: psutil.Process(pid).create_time() for pid in pids}


def letters(cache: Cache) -> list[Letter]:
    return RedisDeadLetters(cache.stores.connection).recent(KEPT + 1)


def test_a_worker_outlives_whatever_lies_in_its_queues(
    celery_setup: CeleryTestSetup, cache: Cache, broker: redis.Redis
) -> None:
    before = alive(celery_setup.worker)
    assert len(before) == 2, "a main process and a child"
    sent = len(MALFORMED) * len(QUEUES)
    for queue in QUEUES:
        broker.lpush(queue, *[raw for raw, _ in MALFORMED.values()])
    for raw, _ in MALFORMED.values():
        assert broker.publish(CONTROL, raw) == 1

    wait_until(lambda: not broker.exists(*QUEUES, "unacked", "unacked_index"), seconds=60)
    receipt = cache.invalidate("photo:b", consistency=Consistency.STRICT).wait(DONE_S)

    assert receipt.status is Status.DONE
    assert receipt.epoch == 1, "nothing was invalidated but this"
    assert cache.stores.marks.last([source_of_key(KEY)]) is None
    assert alive(celery_setup.worker) == before
    found = letters(cache)
    assert {letter.work.get("queue") for letter in found} >= {*QUEUES, CONTROL}
    assert sent <= len(found) <= KEPT
    said = celery_setup.worker.logs().count("message_quarantined ")
    assert said >= sent - len(QUEUES), "one of each is for a task to refuse"

    # The main process has opened a connection of its own; a child made now must not share it.
    (child,) = psutil.Process(min(before, key=before.__getitem__)).children()
    child.kill()
    broker.lpush(Queue.IMMEDIATE, b"null")
    assert cache.invalidate("photo:b").wait(DONE_S).status is Status.DONE
    wait_until(lambda: len(letters(cache)) > len(found))


def test_a_worker_that_begins_with_them_begins(
    celery_setup: CeleryTestSetup, cache: Cache, broker: redis.Redis
) -> None:
    """A crash loop: the items are there before the worker is, queued and unacknowledged."""
    worker = celery_setup.worker
    worker.kill()
    record = json.dumps([good(), "of-nobody", "nowhere"])
    broker.hset("unacked", mapping={"null": b"null", "word": b"hello", "lost": record})
    broker.zadd("unacked_index", {"null": 1, "word": 2, "lost": 3})
    broker.lpush(Queue.IMMEDIATE, *[raw for raw, _ in MALFORMED.values()])
    worker.restart()

    receipt = cache.invalidate("photo:b").wait(DONE_S)

    assert receipt.status is Status.DONE
    wait_until(lambda: not broker.exists("unacked", "unacked_index"))
    assert len(letters(cache)) >= len(MALFORMED) + 3
