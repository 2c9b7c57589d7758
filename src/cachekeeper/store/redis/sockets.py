"""Sockets kept at hand: what a command costs beside the server's own work.

redis-py takes a connection from its pool for each command, asks the system whether it is still
good, measures, and puts it back. That is a third of the time of a ``GET`` on one machine, so the
scripts, which every read needs, go past it. Sockets are made, greeted and closed by the pool, and
come back here after a command only when its reply was read to the end: no reply can ever be taken
for that of another command.
"""

from __future__ import annotations

import os
from collections import deque
from typing import Any

import redis

from cachekeeper.store.redis.line import Command, say


class Sockets:
    """As many sockets as there were commands at one time; safe to share between threads."""

    def __init__(self, pool: redis.ConnectionPool) -> None:
        self._pool = pool
        self._idle: deque[Any] = deque()  # Any: redis-py's stubs know no ``pid``

    def ask(self, *command: str | bytes | int | float) -> Any:
        """The reply to a command, which is sent once more if its socket turns out to be dead.

        Raises:
            redis.RedisError: as redis-py does.
        """
        socket = self._take()
        try:
            reply = _reply(socket, command)
        except redis.ResponseError:  # a reply too
            self._idle.append(socket)
            raise
        except BaseException:  # also what a signal raised half-way
            socket.disconnect()
            self._pool.release(socket)
            raise
        self._idle.append(socket)
        return reply

    def _take(self) -> Any:
        try:
            while True:
                socket = self._idle.pop()
                if socket.pid == os.getpid():  # else it is the parent's, before a fork
                    return socket
        except IndexError:
            return self._pool.get_connection()


def _reply(socket: Any, command: Command) -> Any:
    try:
        say(socket, command)
        return socket.read_response()
    except (redis.ConnectionError, redis.TimeoutError):  # the server was restarted, or is dead
        socket.disconnect()
    say(socket, command)
    return socket.read_response()
