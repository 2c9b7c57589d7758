"""A socket, without the layers of a client: commands that belong together go out in one write."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hiredis import pack_command

Command = tuple[str | bytes | int | float, ...]


class Line:
    """What one thread says to the server, and hears: each reply is read when it is needed.

    redis-py's errors come through as they are; after one the socket is closed by who lent it.
    """

    def __init__(self, connection: Any) -> None:  # of redis-py, which types little of it
        self._connection = connection
        self.awaited = 0  # replies that nobody has read yet

    def send(self, *commands: Command) -> None:
        """Write commands, all at once."""
        self.awaited += len(commands)
        say(self._connection, *commands)

    def reply(self) -> Any:
        """The next reply, as the protocol gives it. Raises redis.ResponseError if it is one."""
        self.awaited -= 1
        return self._connection.read_response()


_packed: Callable[..., bytes] = pack_command  # its stubs know commands of one part only


def say(connection: Any, *commands: Command) -> None:
    """Write commands to a connection of redis-py, all at once, without its look at each part."""
    packed = b"".join([_packed(command) for command in commands])
    connection.send_packed_command([packed], check_health=False)
