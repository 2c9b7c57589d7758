"""Sockets that are used again: never a reply to another command, never the parent's, never dead."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from types import FrameType

import pytest
import redis

from cachekeeper.store.redis.connection import Connection
from cachekeeper.store.redis.sockets import Sockets
from tests.support import wait_until

AT_ONCE = 4
#: Longer than any of these tests should take.
LONG_S = 10
SOON_S = 0.05


class Interruption(Exception):
    """What a signal raises."""


@pytest.fixture
def connection(server_url: str, deployment: str) -> Iterator[Connection]:
    with closing(Connection(server_url, deployment, timeout_s=2 * LONG_S)) as connection:
        yield connection


@pytest.fixture
def sockets(connection: Connection) -> Sockets:
    return Sockets(connection.redis.connection_pool)


def waiting(connection: Connection) -> list[int]:
    """Ids of the clients that wait for a list to be filled."""
    return [int(c["id"]) for c in connection.redis.client_list() if c["cmd"] == "blpop"]


def test_one_socket_does_for_commands_one_after_the_other(sockets: Sockets) -> None:
    assert sockets.ask("CLIENT", "ID") == sockets.ask("CLIENT", "ID")


def test_an_error_is_a_reply_too(sockets: Sockets) -> None:
    before = sockets.ask("CLIENT", "ID")
    with pytest.raises(redis.ResponseError, match="unknown command"):
        sockets.ask("NOTHING")
    assert sockets.ask("CLIENT", "ID") == before


def test_a_command_that_was_interrupted_leaves_its_reply_to_nobody(
    connection: Connection, sockets: Sockets
) -> None:
    """As Celery's soft time limit does: an exception from a signal, at any place."""

    def interrupt(_: int, __: FrameType | None) -> None:
        raise Interruption

    name = f"{connection.layout.prefix}nothing"
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, SOON_S)
        with pytest.raises(Interruption):
            sockets.ask("BLPOP", name, LONG_S)
    finally:
        signal.signal(signal.SIGALRM, before)
    connection.redis.rpush(name, "for who waited")
    assert sockets.ask("ECHO", "mine") == b"mine"
    connection.redis.delete(name)


def test_every_dead_socket_is_replaced(connection: Connection, sockets: Sockets) -> None:
    name = f"{connection.layout.prefix}nothing"
    with ThreadPoolExecutor(AT_ONCE) as threads:
        for _ in range(AT_ONCE):
            threads.submit(sockets.ask, "BLPOP", name, LONG_S)
        wait_until(lambda: len(waiting(connection)) == AT_ONCE)
        ids = waiting(connection)
        connection.redis.rpush(name, *range(AT_ONCE))
    for client in ids:
        connection.redis.client_kill_filter(_id=client)
    fresh = {sockets.ask("CLIENT", "ID") for _ in range(AT_ONCE)}
    assert fresh.isdisjoint(ids)


def test_the_child_of_a_fork_has_sockets_of_its_own(sockets: Sockets) -> None:
    ours = sockets.ask("CLIENT", "ID")
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, str(sockets.ask("CLIENT", "ID")).encode())
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert status == 0
    assert int(os.read(reader, 100)) != ours
    os.close(reader)
    os.close(writer)
    assert sockets.ask("CLIENT", "ID") == ours
