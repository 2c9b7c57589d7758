"""The transport of the workers, without a worker: tags, and consumers that fall."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import kombu.transport.redis
import pytest
import redis
from celery import Celery
from kombu import Connection, Consumer
from kombu import Queue as KombuQueue
from kombu.transport import _transport_cache

from cachekeeper.core.dead import Letter
from cachekeeper.local.restore import restore_unacknowledged
from tests.tasks.malformed import good, item
from workers import consumer, transport
from workers.wiring import Wiring

DATABASE = 2  # no worker takes anything there
QUEUE = KombuQueue("tests.transport", routing_key="tests.transport")


@pytest.fixture
def url(server_url: str) -> Iterator[str]:
    url = server_url.removesuffix("/0") + f"/{DATABASE}"
    yield url
    with redis.Redis.from_url(url) as client:
        client.delete(QUEUE.name, "unacked", "unacked_index", *client.keys("_kombu*"))


@pytest.fixture
def server(url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(url) as client:
        yield client


@pytest.fixture
def connection(
    celery_session_app: Celery,  # noqa: ARG001  # has prepared the process
    url: str,
) -> Iterator[Connection]:
    """A connection of this process."""
    with Connection(url) as connection:
        assert isinstance(connection.transport, transport.Transport)
        yield connection


def received(connection: Connection, count: int) -> list[Any]:
    """So many messages, none of them acknowledged."""
    found: list[Any] = []
    with Consumer(connection.default_channel, [QUEUE], on_message=found.append):
        while len(found) < count:
            connection.drain_events(timeout=5)
    return found


@pytest.mark.parametrize("scheme", ["redis", "rediss", "sentinel", "redis+socket"])
@pytest.mark.usefixtures("celery_session_app")
def test_every_kind_of_redis_is_watched(scheme: str) -> None:
    channel = Connection(f"{scheme}://nowhere").get_transport_cls().Channel
    assert issubclass(channel, transport.Channel)


def test_two_messages_of_one_tag_are_two(connection: Connection, server: redis.Redis) -> None:
    server.lpush(QUEUE.name, *[item(properties__delivery_tag="same") for _ in range(2)])
    first, second = received(connection, 2)
    assert server.hlen("unacked") == 2
    first.ack()
    (left,) = server.hgetall("unacked").values()
    assert json.loads(left)[0]["headers"]["id"] == second.headers["id"]


def test_a_message_of_no_exchange_is_not_lost_when_it_goes_back(
    connection: Connection, server: redis.Redis
) -> None:
    info = {"exchange": "of-nobody", "routing_key": "nowhere"}
    server.lpush(QUEUE.name, item(properties__delivery_info=info))
    (message,) = received(connection, 1)
    message.requeue()
    (again,) = received(connection, 1)
    assert again.headers["id"] == message.headers["id"]
    again.ack()
    assert not server.exists(QUEUE.name, "unacked", "unacked_index")


def test_a_message_over_which_its_consumer_falls_is_buried(
    connection: Connection,
    server: redis.Redis,
    letter: Callable[[], Letter],
) -> None:
    def falls(message: Any) -> None:
        raise KeyError(message.headers["task"])  # which kombu would take for a lost connection

    raw = item(properties__delivery_info={"exchange": "", "routing_key": QUEUE.name})
    server.lpush(QUEUE.name, raw)
    with Consumer(connection.default_channel, [QUEUE], on_message=falls):
        connection.drain_events(timeout=5)
    found = letter()
    assert found.reason.startswith("KeyError: ")
    assert (found.work["text"], found.work["queue"]) == (raw.decode(), QUEUE.name)
    assert not server.exists(QUEUE.name, "unacked", "unacked_index")


def test_a_broker_that_fails_is_no_fault_of_the_message(
    wiring: Wiring, connection: Connection, server: redis.Redis
) -> None:
    def falls(_message: Any) -> None:
        raise ConnectionResetError

    server.lpush(QUEUE.name, item())
    with (
        Consumer(connection.default_channel, [QUEUE], on_message=falls),
        pytest.raises(ConnectionResetError),
    ):
        connection.drain_events(timeout=5)
    assert server.hlen("unacked") == 1
    assert wiring.dead_letters.recent(10) == []


def test_up_restores_what_it_can_and_leaves_the_rest_to_a_worker(
    url: str, server: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(_transport_cache, "redis", kombu.transport.redis.Transport)  # as `up` has
    record = json.dumps([good(), "", QUEUE.name])
    server.hset("unacked", mapping={"bad": b"null", "good": record, "worse": b"\xff"})
    server.zadd("unacked_index", {"bad": 1, "good": 2, "worse": 3})
    assert restore_unacknowledged(url) == 1
    assert server.llen(QUEUE.name) == 1
    assert sorted(server.hkeys("unacked")) == [b"bad", b"worse"]


class TestAnotherBroker:
    """RabbitMQ has transports of its own; kombu's in memory stands for it."""

    @pytest.fixture
    def message(self) -> Iterator[Any]:
        with Connection("memory://") as connection, connection.channel() as channel:
            bound = QUEUE(channel)
            bound.declare()
            producer = connection.Producer(channel)
            producer.publish({"keys": 7}, routing_key=QUEUE.name, declare=[bound])
            message = bound.get()
            assert message is not None
            yield message
            bound.delete()

    @pytest.fixture
    def worker(self, celery_session_app: Celery) -> Any:
        """As much of a worker as refuses messages."""
        return SimpleNamespace(app=celery_session_app)

    def test_a_message_that_is_no_task_is_buried(
        self, message: Any, worker: Any, letter: Callable[[], Letter]
    ) -> None:
        consumer.Consumer.refuse(worker, message, ValueError("no task"))
        found = letter()
        assert found.reason == "ValueError: no task"
        assert "keys" in found.work["text"]
        assert message.acknowledged

    @pytest.mark.usefixtures("without_cache_server")
    def test_it_waits_in_its_queue_while_it_can_not_be_buried(
        self, message: Any, worker: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(consumer, "SERVER_PAUSE_S", 0.01)
        consumer.Consumer.refuse(worker, message, ValueError("no task"))
        again = QUEUE(message.channel).get()
        assert again.body == message.body
