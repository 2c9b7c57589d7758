"""kombu's transport for Redis, which looks at each message before it believes it.

What comes out of a queue, out of what was delivered and not acknowledged, and over a channel
that all workers hear is checked (``workers.envelope``); what is malformed is quarantined. Here
and no later, since a message that kombu can't read never reaches Celery.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any, ClassVar, Final

from kombu.exceptions import InconsistencyError, OperationalError
from kombu.transport import TRANSPORT_ALIASES, _transport_cache, redis, virtual
from kombu.utils.encoding import bytes_to_str
from kombu.utils.json import dumps
from redis.exceptions import RedisError, ResponseError

from cachekeeper.errors import CacheUnavailable, InvalidInput
from workers.envelope import check_record, open_envelope
from workers.quarantine import Evidence, Quarantine
from workers.taking import TakingChannel, TakingQoS

#: Transports by the scheme of a URL.
GUARDED: Final = {"redis": "Transport", "rediss": "Transport", "sentinel": "SentinelTransport"}
#: On the broker: a list of what is to be buried when the cache server is back; newest first.
KEPT_BACK: Final = "cachekeeper.quarantine"
#: As many as there are dead letters; more would push each other out there.
KEPT_AT_MOST: Final = 1000
KEPT_SHOWN: Final = 2000  # characters in the log
#: The broker failed, and not the message; or the process is at its end.
NOT_THE_MESSAGE: Final = (
    OSError,
    RedisError,
    OperationalError,
    InconsistencyError,
    MemoryError,
)

logger = logging.getLogger(__name__)


def install(quarantine: Quarantine) -> None:
    """Have every connection of this process to a Redis broker use these transports."""
    Channel.quarantine = quarantine
    for scheme, transport in GUARDED.items():
        TRANSPORT_ALIASES[scheme] = f"{__name__}:{transport}"
        _transport_cache.pop(scheme, None)  # kombu's own, if somebody was connected already


class Message(virtual.Message):
    """A message under a delivery tag of its own.

    Tags are the senders' choice. Two messages of one tag would share one entry among the
    unacknowledged, and the end of one would be taken for the end of the other.
    """

    def __init__(self, payload: Any, channel: Any = None, **kwargs: Any) -> None:
        super().__init__(payload, channel=channel, **kwargs)
        self.delivery_tag = channel.tag_of_next()

    @property
    def raw(self) -> bytes:
        """The message as it lay in its queue."""
        return str(dumps(self._raw)).encode()


class QoS(TakingQoS):
    """Messages that were delivered and not acknowledged; only what is one goes back."""

    def restore_by_tag(self, tag: Any, client: Any = None, leftmost: bool = False) -> None:
        """Put a message back into its queue, or bury what lies there instead of one."""
        with self.channel.conn_or_acquire(client) as connected:
            record = connected.hget(self.unacked_key, tag)
            try:
                if record is not None:
                    self._check(record)
            except InvalidInput as error:
                self.channel.refuse(self.unacked_key, record, str(error))
                self._remove_from_indices(tag).execute()
                return
            super().restore_by_tag(tag, connected, leftmost)

    def restore_visible(self, *args: Any, **kwargs: Any) -> None:
        """What kombu does every few seconds; and bury what had to wait for the cache server."""
        self.channel.bury_kept()
        super().restore_visible(*args, **kwargs)

    def _check(self, record: bytes) -> None:
        _, exchange, key = check_record(record)
        if not self.channel._lookup(exchange, key):  # kombu would drop it
            raise InvalidInput("delivery_info", f"{exchange}/{key}", "an exchange with queues")


class Channel(TakingChannel):
    """A channel that looks at what it hands on."""

    quarantine: ClassVar[Quarantine]
    Message = Message
    QoS = QoS

    def refuse(self, source: str, raw: bytes, reason: str) -> None:
        """Quarantine a raw message; on the broker if the cache server is away."""
        self.quarantine.take(source, raw, reason, self.keep)

    def keep(self, evidence: Evidence) -> None:
        """Have a message buried later."""
        kept = json.dumps(evidence)
        try:
            with self.conn_or_acquire() as client, client.pipeline() as pipe:
                pipe.lpush(KEPT_BACK, kept).ltrim(KEPT_BACK, 0, KEPT_AT_MOST - 1).execute()
        except ResponseError as error:  # the broker is full: only the log is left
            logger.critical("message_lost reason=%r message=%s", str(error), kept[:KEPT_SHOWN])

    def bury_kept(self) -> None:
        """Bury what was kept, as far as the cache server can be reached."""
        with self.conn_or_acquire() as client, suppress(CacheUnavailable):
            while letter := client.lindex(KEPT_BACK, -1):
                try:
                    self.quarantine.bury(json.loads(letter))  # twice is better than not at all
                except (ValueError, TypeError, LookupError):
                    logger.exception("%s: not ours: %r", KEPT_BACK, letter[:KEPT_SHOWN])
                client.lrem(KEPT_BACK, -1, letter)

    def basic_consume(
        self, queue: str, no_ack: bool, callback: Callable[[Any], Any], *args: Any, **kw: Any
    ) -> Any:
        """Consume; a message over which its consumer falls is quarantined too."""

        def guarded(message: Any) -> Any:
            try:
                return callback(message)
            except NOT_THE_MESSAGE:
                raise
            except Exception as error:
                logger.exception("consumer of %s failed", queue)
                self.refuse(queue, message.raw, f"{type(error).__name__}: {error}")
                if not (no_ack or message.acknowledged):
                    message.ack()

        return super().basic_consume(queue, no_ack, guarded, *args, **kw)

    def _checked(self, key: bytes, raw: bytes) -> tuple[bytes, bytes] | None:
        """What was popped from a queue; None, as if there had been nothing, if it is malformed."""
        queue = key.decode().rsplit(self.sep, 1)[0]
        try:
            message = open_envelope(raw)
        except InvalidInput as error:
            self.refuse(queue, raw, str(error))
            return None
        # Some senders name an exchange that there is not. Redelivered, it would get lost.
        info = message["properties"]["delivery_info"]
        route = info["exchange"], info["routing_key"]
        if route == ("", queue) or self.state.has_binding(queue, *route):
            return key, raw
        info.update(exchange="", routing_key=queue)
        return key, str(dumps(message)).encode()

    def _handle_message(self, client: Any, response: Any) -> dict[str, Any]:
        payload: dict[str, Any] = super()._handle_message(client, response)
        if not bytes_to_str(payload["type"]).endswith("message") or not payload["data"]:
            return payload
        try:
            payload["channel"].decode()
            open_envelope(payload["data"])
        except (InvalidInput, UnicodeDecodeError) as error:
            source = payload["channel"].decode(errors="replace")
            self.refuse(source, payload["data"], str(error))
            return {**payload, "type": b"malformed"}  # nothing that kombu delivers
        return payload


class Transport(redis.Transport):
    """``redis://``, ``rediss://``, and Unix sockets."""

    Channel = Channel


class SentinelChannel(Channel, redis.SentinelChannel):
    """A channel of the server that Sentinel names."""


class SentinelTransport(redis.SentinelTransport):
    """``sentinel://``."""

    Channel = SentinelChannel
