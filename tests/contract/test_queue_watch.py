"""What waits where, and how old the oldest of it is: on a real server, changing nothing."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest
import redis

from cachekeeper.client.cache import Cache
from cachekeeper.client.queues import queue_watch
from cachekeeper.core.strategy import Strategy
from cachekeeper.errors import BrokerUnavailable
from cachekeeper.names import QUEUES, SENT, Queue, Task
from cachekeeper.services.queues import Row
from cachekeeper.settings import Settings
from cachekeeper.store.redis.broker_queues import RedisQueues, open_queues, sent_at
from tests.support import unused_port

BROKER_DATABASE = 9
AGO_S = 100


@pytest.fixture
def settings(server_url: str, deployment: str, tmp_path: object) -> Settings:
    return Settings(
        cache_url=server_url,
        broker_url=server_url.removesuffix("/0") + f"/{BROKER_DATABASE}",
        deployment=deployment,
        state=f"{tmp_path}/state",
        memory_bytes=0,
    )


@pytest.fixture
def broker(settings: Settings) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(settings.broker_url or "") as client:
        yield client
        client.delete("-", *client.keys("*"))


@pytest.fixture
def cache(settings: Settings) -> Iterator[Cache]:
    with Cache(settings) as opened:
        yield opened


def rows(settings: Settings) -> dict[str, Row]:
    with queue_watch(settings) as watch:
        return {row.name: row for row in watch.rows()}


def message(sent: object) -> str:
    return json.dumps({"headers": {SENT: sent}})


def test_what_a_client_sends_waits_and_grows_old(
    settings: Settings, broker: redis.Redis, cache: Cache
) -> None:
    cache.broker.send(Task.PURGE, {"requests": ["a"]})
    raw = broker.lindex(Queue.PURGE, -1)
    assert isinstance(raw, bytes)
    begun = time.time()
    assert begun - 10 < json.loads(raw)["headers"][SENT] <= begun
    row = rows(settings)[Queue.PURGE]
    assert row.waiting == 1
    assert row.oldest_s is not None
    assert 0 <= row.oldest_s < 10
    assert broker.llen(Queue.PURGE) == 1, "nothing is taken"


def test_queues_come_most_urgent_first_and_pending_sets_after_them(
    settings: Settings,
    broker: redis.Redis,  # noqa: ARG001  # empties it
) -> None:
    found = rows(settings)
    assert list(found) == [*QUEUES, *(f"pending:{strategy}" for strategy in Strategy)]
    assert {(row.waiting, row.oldest_s) for row in found.values()} == {(0, None)}


def test_the_oldest_is_the_one_that_is_taken_next(settings: Settings, broker: redis.Redis) -> None:
    now = time.time()
    broker.lpush(Queue.LAZY, message(now - AGO_S), message(now - 1))
    row = rows(settings)[Queue.LAZY]
    assert row.waiting == 2
    assert row.oldest_s == pytest.approx(AGO_S, abs=5)


def test_messages_of_other_priorities_count(settings: Settings, broker: redis.Redis) -> None:
    now = time.time()
    broker.lpush(Queue.LAZY, message(now))
    broker.lpush(f"{Queue.LAZY}\x06\x166", message(now - AGO_S))
    row = rows(settings)[Queue.LAZY]
    assert row.waiting == 2
    assert row.oldest_s == pytest.approx(AGO_S, abs=5)


@pytest.mark.parametrize(
    "raw",
    [
        b"hello",
        b"\xff",
        b"null",
        b"[]",
        b"{}",
        b'{"headers": null}',
        b'{"headers": {}}',
        message("yesterday").encode(),
        message(True).encode(),
        message(-1).encode(),
        message(float("nan")).encode(),
        message(float("inf")).encode(),
        message(1e300).encode(),
        message(10**400).encode(),
        b"[" * 100_000,
    ],
    ids=lambda raw: raw[:20].decode(errors="replace"),
)
def test_a_message_that_does_not_say_is_of_unknown_age(
    settings: Settings, broker: redis.Redis, raw: bytes
) -> None:
    assert sent_at(raw) is None
    broker.lpush(Queue.PREFETCH, raw)
    row = rows(settings)[Queue.PREFETCH]
    assert (row.waiting, row.oldest_s) == (1, None)


def test_a_request_that_waits_for_its_batch_has_an_age(settings: Settings, cache: Cache) -> None:
    cache.invalidate("note:a", strategy=Strategy.BACKGROUND)
    cache.invalidate("note:b", strategy=Strategy.BACKGROUND)
    waits, other = (rows(settings)[f"pending:{s}"] for s in ("background", "scheduled"))
    assert (waits.waiting, other.waiting) == (2, 0)
    assert waits.oldest_s is not None
    assert 0 <= waits.oldest_s < 10


def test_figures_are_numbers_by_place(settings: Settings, broker: redis.Redis) -> None:
    broker.lpush(Queue.LAZY, message(time.time() - AGO_S))
    broker.lpush(Queue.PREFETCH, b"hello")
    with queue_watch(settings) as watch:
        figures = watch.figures()
    assert figures[f"{Queue.LAZY} waiting"] == figures[f"{Queue.PREFETCH} waiting"] == 1
    assert figures[f"{Queue.LAZY} oldest_s"] == pytest.approx(AGO_S, abs=5)
    assert f"{Queue.PREFETCH} oldest_s" not in figures


def test_a_broker_that_is_away_or_no_list_is_an_error(
    settings: Settings, broker: redis.Redis
) -> None:
    queues = RedisQueues(f"redis://127.0.0.1:{unused_port()}/0")
    with pytest.raises(BrokerUnavailable):
        queues.waiting()
    broker.set(Queue.LAZY, "not a list")
    with pytest.raises(BrokerUnavailable, match="WRONGTYPE"):
        rows(settings)


def test_another_kind_of_broker_is_not_looked_into(settings: Settings) -> None:
    assert open_queues("amqp://127.0.0.1") is None
    given = settings.model_copy(update={"broker_url": "amqp://127.0.0.1"})
    assert list(rows(given)) == [f"pending:{strategy}" for strategy in Strategy]
