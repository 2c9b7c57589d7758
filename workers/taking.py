"""How a worker takes a message from a queue of Redis, so that none is lost when it is killed.

kombu pops a message and notes only then that it is unacknowledged: one that a killed worker had
just been sent is in no list any more. Ours does both in one script (``take.lua``). What a killed
worker held goes back to its queue once nobody has heard of that worker for a while, which is much
sooner than the visibility timeout: that has to be longer than any task may run.
"""

from __future__ import annotations

from pathlib import Path
from time import monotonic
from typing import Any, Final
from uuid import uuid4

from kombu.transport import redis, virtual
from redis.exceptions import OutOfMemoryError

from cachekeeper.names import QUEUES

#: On the broker: a sorted set, consumer -> its last sign of life in the server's seconds.
SIGNS: Final = "cachekeeper.consumers"
#: How long to wait for a message before all queues are looked at again. The wait ends at once for
#: the most urgent one alone: no command of Redis waits for several lists and takes nothing.
IDLE_S: Final = 0.05
IDLE_ALONE_S: Final = 1.0
#: A list that is never there. A full server refuses to move what might grow, but lets us wait here.
NOTHING: Final = "cachekeeper.nothing"
#: A consumer that gave no sign for so long counts as dead; the transport option ``silent_s``.
SILENT_S: Final = 30.0

_RANK: Final = {queue: rank for rank, queue in enumerate(QUEUES)}
_TAKE: Final = Path(__file__).with_name("take.lua").read_text()


class TakingQoS(redis.QoS):
    """What was delivered and not acknowledged, by which consumer."""

    def append(self, message: Any, delivery_tag: str) -> None:
        """Remember a message; the broker knows it already if it was taken by us."""
        if self.channel.noted == delivery_tag:
            self.channel.noted = None
            virtual.QoS.append(self, message, delivery_tag)
        else:
            super().append(message, delivery_tag)

    def restore_unacked(self, client: Any = None) -> None:
        """Put back what was delivered, as a connection is closed that may be lost already.

        Of one that Celery has dropped kombu knows no address any more, and the worker would end of
        that. What it held goes back as that of the silent does.
        """
        if self.channel.connection.client is None:
            self._delivered.clear()
        else:
            super().restore_unacked(client)

    def restore_visible(self, *args: Any, **kwargs: Any) -> None:
        """What kombu does every few seconds; and put back what silent consumers hold."""
        self.channel.give_sign()
        self._restore_of_silent()
        super().restore_visible(*args, **kwargs)

    def _restore_of_silent(self) -> None:
        with self.channel.conn_or_acquire() as client:
            before = _server_time(client) - self.channel.silent_s
            silent = {name.decode() for name in client.zrange(SIGNS, "-inf", before, byscore=True)}
            if not silent:
                return
            for tag in client.zrange(self.unacked_index_key, 0, -1):
                if tag.decode(errors="replace").partition(".")[0] in silent:
                    self.restore_by_tag(tag, client)
            client.zrem(SIGNS, *silent)


class TakingChannel(redis.Channel):
    """A channel that takes a message and notes it in one step."""

    _in_poll: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._consumer, self._tags = uuid4().hex, 0
        self._waiting = False  # what was sent waits for a message, and takes none
        self._full = False  # the server refused to wait as we like it
        #: The tag of the message that was taken last, until it is among the delivered ones.
        self.noted: str | None = None
        super().__init__(*args, **kwargs)
        options = self.connection.client.transport_options
        self.silent_s = float(options.get("silent_s", SILENT_S))

    def tag_of_next(self) -> str:
        """The delivery tag of the message that is made just now."""
        return self.noted or self._next_delivery_tag()

    def give_sign(self) -> None:
        """Tell the other consumers that this one lives, if it consumes."""
        if self.active_queues:
            with self.conn_or_acquire() as client:
                client.zadd(SIGNS, {self._consumer: _server_time(client)})

    def _next_delivery_tag(self) -> str:
        self._tags += 1
        return f"{self._consumer}.{self._tags}"

    def _brpop_start(self, timeout: float | None = None) -> None:  # noqa: ARG002  # kombu's
        if not self.active_queues:
            return
        self._in_poll = self.client.connection
        self._brpop_sent_at = monotonic()  # type: ignore[assignment]  # None at first
        if self._waiting:  # a list that is moved onto itself stays as it is
            urgent = min(self.active_queues, key=_rank)
            if self._full:
                self._in_poll.send_command("BRPOP", NOTHING, IDLE_S)
                return
            wait = IDLE_ALONE_S if len(self.active_queues) == 1 else IDLE_S
            self._in_poll.send_command("BLMOVE", urgent, urgent, "RIGHT", "RIGHT", wait)
            return
        queues = self._queue_cycle.consume(len(self.active_queues))
        named = [(self._q_for_pri(q, pri), q) for pri in self.priority_steps for q in queues]
        self._tag = self._next_delivery_tag()
        keys = [self.unacked_key, self.unacked_index_key, SIGNS, *(name for name, _ in named)]
        arguments = [self._tag, self._consumer, *(queue for _, queue in named)]
        self._in_poll.send_command("EVAL", _TAKE, len(keys), *keys, *arguments)

    def _brpop_read(self, **options: Any) -> Any:
        try:
            return super()._brpop_read(**options)
        finally:
            if self.noted:  # it needs no acknowledgement, or is none
                self.qos._remove_from_indices(self.noted).execute()
                self.noted = None

    def _create_client(self, asynchronous: bool = False) -> Any:
        client = super()._create_client(asynchronous)
        parse = client.parse_response

        def parse_response(connection: Any, command: str, **options: Any) -> Any:
            if command != "BRPOP":
                return parse(connection, command, **options)
            if self._waiting:
                self._waiting, was_full, self._full = False, self._full, False
                try:
                    parse(connection, "BRPOP" if was_full else "BLMOVE", **options)
                except OutOfMemoryError:  # Celery would end: look again, and wait otherwise
                    self._full = True
                return None
            reply = parse(connection, command, **options)
            self._waiting = not reply
            if not reply:
                return None
            self.noted = self._tag
            return self._checked(*reply)

        client.parse_response = parse_response
        return client

    def _checked(self, key: bytes, raw: bytes) -> tuple[bytes, bytes] | None:
        """The list and the message to be delivered; None for none."""
        return key, raw


def _rank(queue: str) -> int:
    return _RANK.get(queue, len(_RANK))


def _server_time(client: Any) -> float:
    seconds, microseconds = client.time()
    return float(seconds) + float(microseconds) / 1e6
