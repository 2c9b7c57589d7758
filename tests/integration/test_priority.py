"""Immediate work behind a backlog, with the workers that ``up`` runs: it waits for nothing of it.

No figure is judged but coarsely: ``python -m bench latency`` measures.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import pytest
import redis
from kombu import Connection

from bench.servers import Bed, bed
from bench.workers import worker
from cachekeeper.client.cache import Cache
from cachekeeper.client.queues import queue_watch
from cachekeeper.core.receipt import Status
from cachekeeper.names import Queue
from cachekeeper.queues import EXCHANGE
from tests.integration import busy_task
from tests.support import wait_until

BACKLOG = 2000
CALLS = 40
SLOWER = 10  # at most, with a machine that does other things too
#: Tasks of the lowest queue: with its turns, some 200 of the other go before.
MOVED = 3
RECEIPT_S = 30.0
STARVED = (Queue.BACKGROUND, Queue.MAINTENANCE)


@pytest.fixture
def server() -> Iterator[Bed]:
    with bed() as started:
        yield started


@pytest.fixture
def cache(server: Bed) -> Iterator[Cache]:
    with server.cache(memory_bytes=0) as opened:
        yield opened


def fill(server: Bed, diary: Path) -> None:
    """2000 busy tasks for each of two queues, as a producer of any kind may send them."""
    with Connection(server.url) as connection:
        producer = connection.Producer(serializer="json")
        for queue in STARVED:
            for number in range(BACKLOG):
                task_id = f"{queue}-{number}"
                producer.publish(
                    [[str(diary)], {}, {}],
                    exchange=EXCHANGE,
                    routing_key=queue,
                    headers={"task": busy_task.NAME, "id": task_id},
                    correlation_id=task_id,
                )


def done(diary: Path) -> Counter[str]:
    """How many tasks of each queue were done."""
    return Counter(diary.read_text().split())


def calls(cache: Cache) -> float:
    """The median of strict invalidations, in seconds."""
    took = []
    for number in range(CALLS):
        begin = time.perf_counter()
        receipt = cache.invalidate(f"note:{number}", consistency="strict").wait(RECEIPT_S)
        took.append(time.perf_counter() - begin)
        assert receipt.status is Status.DONE
    return median(took)


@pytest.mark.slow
def test_immediate_work_passes_a_backlog_whose_lowest_queue_moves(
    server: Bed, cache: Cache, tmp_path: Path
) -> None:
    diary = tmp_path / "diary"
    diary.touch()
    more = ("-I", busy_task.__name__)
    with (
        worker(server, "immediate"),
        worker(server, "general", *more),
        redis.Redis.from_url(server.url) as broker,
    ):
        calls(cache)  # the first waits until nobody can hold anything of another server
        idle = calls(cache)
        fill(server, diary)
        wait_until(lambda: done(diary)[Queue.BACKGROUND] > 10, seconds=30)
        loaded = calls(cache)
        wait_until(lambda: done(diary)[Queue.MAINTENANCE] >= MOVED, seconds=60)

        moved = done(diary)
        left = {queue: broker.llen(queue) for queue in STARVED}
        assert min(left.values()) > 0, f"too small a backlog: {left}"
        assert moved[Queue.BACKGROUND] > moved[Queue.MAINTENANCE], "priority counts for something"
        assert loaded < SLOWER * idle, (loaded, idle)
        with queue_watch(cache.settings) as watch:
            shown = {row.name: row.waiting for row in watch.rows()}
        assert shown[Queue.MAINTENANCE] > 0
        broker.delete(*STARVED)  # or the workers go on with it until they are stopped
