"""What a worker makes of items in its queues that are no messages: a dead letter, and goes on."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
import redis
from celery import Celery
from celery.contrib.testing.worker import TestWorkController

from cachekeeper.core.dead import Letter
from cachekeeper.core.stamps import source_of_key
from cachekeeper.names import QUEUES, Queue, Task
from tests.support import wait_until
from tests.tasks.conftest import Run, Send
from tests.tasks.malformed import KEY, MALFORMED, good, item
from workers.quarantine import KEPT_BYTES
from workers.transport import KEPT_BACK
from workers.wiring import Wiring

UNACKED, INDEX = "unacked", "unacked_index"


@pytest.fixture
def broker(broker_url: str) -> Iterator[redis.Redis]:
    """The server of the queues, as anybody sees it who can write there."""
    with redis.Redis.from_url(broker_url) as client:
        yield client


def letters(wiring: Wiring) -> list[Any]:
    """The dead letters."""
    found: list[Any] = wiring.dead_letters.recent(len(MALFORMED) + 1)
    return found


def nothing_marked(wiring: Wiring) -> bool:
    marks = wiring.cache.stores.marks
    return marks.now().epoch == 0 and marks.last([source_of_key(KEY)]) is None


def _as_many_as(wiring: Wiring, count: int) -> bool:
    return len(letters(wiring)) >= count


def test_a_malformed_message_is_buried_and_the_next_one_done(
    wiring: Wiring, broker: redis.Redis, run: Run
) -> None:
    wrong: dict[str, Any] = {}
    for count, (name, (raw, reason)) in enumerate(MALFORMED.items(), start=1):
        before = time.time()
        broker.lpush(Queue.IMMEDIATE, raw)
        with suppress(AssertionError):  # the rest is looked at, too
            wait_until(partial(_as_many_as, wiring, count), 3)
        run(Task.HEARTBEAT)
        found = letters(wiring)
        said = found[0].reason if found else ""
        right = said.startswith(reason) and "; allowed: " in said
        if not (len(found) == count and right and before <= found[0].died <= time.time()):
            wrong[name] = len(found), said
    assert not wrong
    assert nothing_marked(wiring)
    wait_until(lambda: not broker.exists(UNACKED, INDEX, KEPT_BACK))


def test_what_is_kept_of_a_message(
    broker: redis.Redis, wiring: Wiring, letter: Callable[[], Letter]
) -> None:
    raw = b'"' + "é".encode() * KEPT_BYTES + b'" and more'
    broker.lpush(Queue.IMMEDIATE, raw)
    kept = letter().work
    assert kept["text"] == '"' + "é" * ((KEPT_BYTES - 1) // 2), "no half character at the end"
    assert kept["queue"] == Queue.IMMEDIATE
    assert kept["bytes"] == len(raw)
    assert kept["sha256"] == hashlib.sha256(raw).hexdigest()
    wait_until(lambda: wiring.activity.totals().get("message_quarantined") == 1)


@pytest.mark.parametrize("raw", [b"\0" * 100_000, b"\xff" * 100_000], ids=["NUL", "no UTF-8"])
def test_bytes_are_kept_in_base64(
    broker: redis.Redis, letter: Callable[[], Letter], raw: bytes
) -> None:
    broker.lpush(Queue.IMMEDIATE, raw)
    kept = letter().work
    assert base64.b64decode(kept["base64"]) == raw[:KEPT_BYTES]
    assert kept["bytes"] == len(raw)


@pytest.mark.parametrize("queue", QUEUES)
def test_every_queue_is_watched(wiring: Wiring, broker: redis.Redis, run: Run, queue: str) -> None:
    broker.lpush(queue, b"null")
    broker.lpush(f"{queue}\x06\x169", item(headers__task="nobody.is_me"))  # kombu's priorities
    wait_until(lambda: len(letters(wiring)) == 2)
    assert {letter.work["queue"] for letter in letters(wiring)} == {queue}
    run(Task.HEARTBEAT)


def test_a_huge_request_leaves_a_small_letter(send: Send, letter: Callable[[], Letter]) -> None:
    send(Task.INVALIDATE, keys=["photo:" + "a" * 10_000_000])
    found = letter()
    assert found.reason.startswith("message: '133")
    assert len(found.to_json()) < 100_000


def test_a_message_that_foreign_clients_send_is_done(
    wiring: Wiring, broker: redis.Redis, run: Run
) -> None:
    """An exchange that there is not, fields of the body left out, a header of its own."""
    message = good(
        properties__delivery_info={"exchange": Queue.IMMEDIATE, "routing_key": Queue.IMMEDIATE},
        properties__priority=0,
        properties__reply_to="",
        headers__traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        body=[[], {"keys": [KEY]}, None],
    )
    broker.lpush(Queue.IMMEDIATE, json.dumps(message))
    wait_until(lambda: wiring.cache.stores.marks.now().epoch == 1)
    run(Task.HEARTBEAT)
    assert wiring.dead_letters.recent(10) == []


@pytest.mark.parametrize(
    "record",
    [
        b"null",
        b"\xff",
        b"[]",
        json.dumps([good(), "no-such-exchange", "no-such-key"]).encode(),
        json.dumps([{}, "", Queue.IMMEDIATE]).encode(),
        json.dumps([good(), [], {}]).encode(),
    ],
    ids=["null", "no UTF-8", "no record", "leads nowhere", "no message", "no route"],
)
def test_what_was_not_acknowledged_is_looked_at_before_it_goes_back(
    wiring: Wiring, broker: redis.Redis, run: Run, record: bytes
) -> None:
    cut_off = good(headers__task=Task.INVALIDATE, body=[[], {"keys": ["photo:b"]}, {}])
    with broker.pipeline() as pipe:
        # Malformed first, and older: whatever the order, one must not keep the other back.
        for tag, kept in {"newer": record, "older": record}.items():
            pipe.hset(UNACKED, tag, kept)
        pipe.hset(UNACKED, "between", json.dumps([cut_off, "", Queue.IMMEDIATE]))
        pipe.zadd(INDEX, {"newer": 3, "between": 2, "older": 1})
        pipe.execute()
    wait_until(lambda: wiring.cache.stores.marks.now().epoch == 1)
    wait_until(lambda: len(letters(wiring)) == 2)
    run(Task.HEARTBEAT)
    assert {found.work["queue"] for found in letters(wiring)} == {UNACKED}
    assert wiring.cache.stores.marks.last([source_of_key(KEY)]) is None
    wait_until(lambda: not broker.exists(UNACKED, INDEX))


@pytest.mark.parametrize(
    "raw",
    [
        b"hello",
        b"null",
        b"7",
        b"{}",
        b"[" * 100_000,
        b"\xff",
        item(body="%%%"),
        item(body="[]"),
        item(headers__clock=10**400),
        item(**{"content-type": "application/x-python-serialize"}),
        item(body='{"method": ["shutdown"]}', properties__body_encoding="utf-8"),
    ],
    ids=range(11),
)
def test_a_malformed_remote_control_is_ignored(
    celery_session_worker: TestWorkController,
    celery_session_app: Celery,
    broker: redis.Redis,
    broker_url: str,
    run: Run,
    raw: bytes,
) -> None:
    database = broker_url.rpartition("/")[2]
    assert broker.publish(f"/{database}.celery.pidbox", raw) == 1
    run(Task.HEARTBEAT)
    replies = wait_until(lambda: celery_session_app.control.ping(timeout=0.5))
    assert [*replies[0]] == [celery_session_worker.hostname]


def test_no_message_is_lost_while_the_cache_server_is_away(
    wiring: Wiring, broker: redis.Redis, without_cache_server: Callable[[], None]
) -> None:
    spoilt = [b"null", b"\xff", item(headers__id=7)]
    broker.lpush(Queue.IMMEDIATE, *spoilt)
    wait_until(lambda: broker.llen(KEPT_BACK) == len(spoilt))
    assert not broker.exists(Queue.IMMEDIATE)
    wait_until(lambda: not broker.exists(UNACKED, INDEX))
    without_cache_server()
    wait_until(lambda: len(letters(wiring)) == len(spoilt))
    wait_until(lambda: not broker.exists(KEPT_BACK))
    hashes = {found.work["sha256"] for found in letters(wiring)}
    assert hashes == {hashlib.sha256(raw).hexdigest() for raw in spoilt}
