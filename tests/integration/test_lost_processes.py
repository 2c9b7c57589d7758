"""A request that kills the process of the pool that works on it, with the workers of ``up``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis
from click.testing import CliRunner
from kombu import Connection

from bench.servers import Bed, bed
from bench.workers import environment, worker
from cachekeeper.cli.main import main
from cachekeeper.client.cache import Cache
from cachekeeper.core.dead import Kind, Letter
from cachekeeper.core.receipt import Status
from cachekeeper.core.strategy import Strategy
from cachekeeper.names import LOST, Queue, Task
from cachekeeper.store.redis.dead import RedisDeadLetters
from tests.integration import deadly
from tests.support import wait_until
from workers.lost import LOST_AT_MOST

#: Ten times the 5 s that a pool may take to miss a process, and what a busy machine needs.
DONE_S = 120.0
REQUEST = "a-request"
pytestmark = pytest.mark.slow


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bed]:
    monkeypatch.setenv(deadly.FOLDER, str(tmp_path))
    with bed() as started:
        yield started


@pytest.fixture
def cache(server: Bed) -> Iterator[Cache]:
    with server.cache(memory_bytes=0) as opened:
        yield opened


@pytest.fixture
def immediate(server: Bed) -> Iterator[psutil.Process]:
    with worker(server, "immediate", "-I", deadly.__name__) as process:
        yield psutil.Process(process.pid)


def letters(cache: Cache) -> list[Letter]:
    return RedisDeadLetters(cache.stores.connection).recent(10)


def unfinished(server: Bed) -> int:
    """Messages that are queued, or taken and not acknowledged."""
    with redis.Redis.from_url(server.url) as broker:
        return int(broker.exists(Queue.IMMEDIATE, "unacked"))


def send(server: Bed, key: str, **headers: Any) -> None:
    """A request with headers of our own."""
    with Connection(server.url) as connection:
        connection.Producer(serializer="json").publish(
            [[], {"keys": [key]}, {}],
            routing_key=Queue.IMMEDIATE,
            headers={"task": Task.INVALIDATE, "id": REQUEST, **headers},
        )


def test_a_request_that_kills_every_time_is_given_up_and_told(
    server: Bed, cache: Cache, immediate: psutil.Process, tmp_path: Path
) -> None:
    began = immediate.create_time()
    handle = cache.invalidate("always:a", reason="a crash in C")
    other = cache.invalidate("note:other")
    receipt = handle.wait(DONE_S)

    assert receipt.status is Status.FAILED
    assert "WorkerLostError" in receipt.error
    assert "signal 9" in receipt.error
    assert other.wait(DONE_S).status is Status.DONE, "other work is done meanwhile"
    (letter,) = wait_until(lambda: letters(cache))
    assert (letter.kind, letter.attempts) == (Kind.GAVE_UP, LOST_AT_MOST)
    assert letter.first_seen < letter.died
    assert letter.reason.endswith(f"the process died each time, {LOST_AT_MOST} times")
    assert (letter.task, letter.arguments["id"]) == (Task.INVALIDATE, handle.id)
    assert letter.work["queue"] == Queue.IMMEDIATE
    assert letter.arguments["keys"] == ["always:a"]
    assert letter.arguments["reason"] == "a crash in C"
    wait_until(lambda: not unfinished(server))
    assert deadly.deaths(tmp_path) == ["always:a"] * LOST_AT_MOST
    assert cache.invalidate("note:later").wait(DONE_S).status is Status.DONE
    assert immediate.create_time() == began
    assert immediate.is_running()

    (tmp_path / "cured").touch()
    called = CliRunner(env=environment(server)).invoke(
        main, ["dead", "replay", "--filter", "always:a"]
    )
    assert (called.exit_code, called.stderr) == (0, "1 replayed\n")
    again = handle.wait(DONE_S)
    assert (again.status, again.by) == (Status.DONE, receipt.by)
    assert letters(cache) == []
    wait_until(lambda: not unfinished(server))


@pytest.mark.usefixtures("immediate")
def test_what_can_not_be_buried_stays_until_it_can(
    server: Bed, cache: Cache, tmp_path: Path
) -> None:
    dead = cache.stores.connection.layout.dead
    cache.stores.connection.redis.set(dead, "what no list of letters is")
    send(server, "always:c", **{LOST: LOST_AT_MOST - 1})  # as another worker sent it again
    wait_until(lambda: len(deadly.deaths(tmp_path)) > 1, seconds=DONE_S)

    cache.stores.connection.redis.delete(dead)
    (letter,) = wait_until(lambda: letters(cache), seconds=DONE_S)
    assert letter.attempts == LOST_AT_MOST
    assert letter.arguments["keys"] == ["always:c"]
    wait_until(lambda: not unfinished(server))


@pytest.mark.usefixtures("immediate")
def test_a_request_that_is_stuck_is_given_up_at_the_hard_limit_and_told(
    server: Bed, cache: Cache
) -> None:
    send(server, "stuck:a", timelimit=[2, 1])
    (letter,) = wait_until(lambda: letters(cache), seconds=DONE_S)
    assert (letter.attempts, letter.arguments["keys"]) == (1, ["stuck:a"])
    receipt = cache.receipt(REQUEST).wait(DONE_S)
    assert receipt.status is Status.FAILED
    assert "TimeLimitExceeded" in receipt.error
    assert cache.invalidate("note:later").wait(DONE_S).status is Status.DONE
    wait_until(lambda: not unfinished(server))


@pytest.mark.usefixtures("immediate")
def test_a_process_killed_once_costs_a_request_nothing(
    server: Bed, cache: Cache, tmp_path: Path
) -> None:
    receipt = cache.invalidate("once:a").wait(DONE_S)
    assert (receipt.status, receipt.error) == (Status.DONE, "")
    assert deadly.deaths(tmp_path) == ["once:a"]
    assert letters(cache) == []
    wait_until(lambda: not unfinished(server))


def test_a_request_whose_process_was_killed_still_waits_for_its_batch(
    server: Bed, cache: Cache, tmp_path: Path
) -> None:
    """A process that died is no failure of the request, which would be done at once."""
    pending = cache.stores.connection.layout.pending(Strategy.SCHEDULED)
    fields = {"keys": ["once:b"], "strategy": Strategy.SCHEDULED}
    with worker(server, "general", "-I", deadly.__name__), redis.Redis.from_url(server.url) as raw:
        sent = cache.broker.send(Task.INVALIDATE, fields, queue=Queue.SCHEDULED)
        wait_until(lambda: raw.zscore(pending, sent) is not None, seconds=DONE_S)
    assert deadly.deaths(tmp_path) == ["once:b"]
    assert cache.receipt(sent).read().status is Status.PENDING
