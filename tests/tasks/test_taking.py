"""How messages are taken: at no moment is one in no list, and what the dead hold comes back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
import redis
from celery import Celery
from kombu import Connection, Consumer
from kombu import Queue as KombuQueue

from cachekeeper.client.broker import Broker
from cachekeeper.names import Queue, Task
from tests.support import wait_until
from tests.tasks.malformed import item
from workers.taking import SIGNS

DATABASE = 3  # no worker takes anything there
QUEUES = [KombuQueue(name, routing_key=name) for name in ("tests.first", "tests.second")]


@pytest.fixture
def url(server_url: str) -> Iterator[str]:
    url = server_url.removesuffix("/0") + f"/{DATABASE}"
    yield url
    with redis.Redis.from_url(url) as client:
        client.flushdb()


@pytest.fixture
def server(url: str) -> Iterator[Any]:
    with redis.Redis.from_url(url, decode_responses=True) as client:
        yield client


@pytest.fixture
def connection(celery_session_app: Celery, url: str) -> Iterator[Connection]:  # noqa: ARG001  # has prepared the process
    with Connection(url) as connection:
        yield connection


def received(connection: Connection, count: int, **options: Any) -> list[Any]:
    """So many messages, none of them acknowledged."""
    found: list[Any] = []
    with Consumer(connection.default_channel, QUEUES, on_message=found.append, **options):
        while len(found) < count:
            connection.drain_events(timeout=5)
    return found


def test_a_message_on_its_way_to_a_worker_is_noted_already(
    connection: Connection, server: Any
) -> None:
    """Were it killed here, before it has read the answer, the message would come back."""
    raw = item()
    server.lpush(QUEUES[0].name, raw)
    with Consumer(connection.default_channel, QUEUES, on_message=lambda _: None):
        connection.transport.cycle.on_poll_start()
        wait_until(lambda: not server.llen(QUEUES[0].name))
        ((tag, record),) = server.hgetall("unacked").items()
        assert json.loads(record) == [json.loads(raw), "", QUEUES[0].name]
        assert server.zscore("unacked_index", tag) == pytest.approx(server.time()[0], abs=5)
        consumer = tag.partition(".")[0]
        assert server.zscore(SIGNS, consumer) is not None
        connection.drain_events(timeout=5)


def test_the_first_queue_goes_first_and_none_is_forgotten(
    connection: Connection, server: Any
) -> None:
    options = {"queue_order_strategy": "priority"}
    with Connection(connection.as_uri(), transport_options=options) as ordered:
        for queue in reversed(QUEUES):
            server.lpush(queue.name, *[item() for _ in range(3)])
        messages = received(ordered, 6)
        for message in messages:
            message.ack()
    keys = [message.delivery_info["routing_key"] for message in messages]
    assert keys == [queue.name for queue in QUEUES for _ in range(3)]
    assert not server.exists("unacked", "unacked_index")


def test_what_needs_no_acknowledgement_is_noted_no_longer(
    connection: Connection, server: Any
) -> None:
    server.lpush(QUEUES[1].name, item())
    assert len(received(connection, 1, no_ack=True)) == 1
    assert not server.exists("unacked", "unacked_index")


def test_what_a_silent_consumer_holds_goes_back_and_what_a_living_one_does_not(
    url: str, server: Any, connection: Connection
) -> None:
    with Connection(url) as dead, Connection(url) as living:
        for other in (dead, living):
            server.lpush(QUEUES[0].name, item())
            received(other, 1)
        silent, _ = (other.default_channel._consumer for other in (dead, living))
        server.zadd(SIGNS, {silent: 1})
        channel = connection.default_channel
        channel.qos.restore_visible()
        assert server.llen(QUEUES[0].name) == 1
        (held,) = server.hkeys("unacked")
        assert held.startswith(living.default_channel._consumer)
        assert server.zscore(SIGNS, silent) is None
        (again,) = received(connection, 1)
        assert again.headers["redelivered"]
        again.ack()
        channel.qos.restore_visible()
        assert server.hlen("unacked") == 1


def test_a_producer_whose_connection_broke_sends_over_another_one(url: str, server: Any) -> None:
    broker = Broker(url)
    broker.send(Task.HEARTBEAT, {})
    with broker._app.producer_or_acquire() as producer:
        channel = producer.channel
    channel._disconnect_pools()  # as a server that is killed at the wrong moment leaves it
    channel.connection = None
    broker.send(Task.HEARTBEAT, {})
    assert server.llen(Queue.MAINTENANCE) == 2
    broker.close()


def test_a_full_server_kills_no_consumer_and_what_it_holds_is_taken(
    connection: Connection, server: Any
) -> None:
    """To wait for a message is refused there, as everything that might need room."""
    found: list[Any] = []
    with Consumer(connection.default_channel, QUEUES, on_message=found.append):
        server.config_set("maxmemory", 1)
        try:
            for _ in range(3):  # to look, to wait, and to look again
                with suppress(TimeoutError):
                    connection.drain_events(timeout=0.2)
            server.config_set("maxmemory", 0)
            server.lpush(QUEUES[1].name, item())
            server.config_set("maxmemory", 1)
            connection.drain_events(timeout=5)
        finally:
            server.config_set("maxmemory", 0)
    assert len(found) == 1


def test_a_connection_that_was_lost_with_a_message_is_closed_all_the_same(
    url: str, server: Any
) -> None:
    """As Celery does it: it drops the transport, then closes what is left."""
    with Connection(url) as connection:
        server.lpush(QUEUES[0].name, item())
        received(connection, 1)
        channel = connection.default_channel
        channel._disconnect_pools()  # what kombu does once the server has closed it
        connection._do_close_transport()
    assert channel.closed
    assert server.hlen("unacked") == 1, "until the consumer counts as silent"
