"""The queues of a broker that is Redis, looked at from outside: nothing is taken or moved."""

from __future__ import annotations

import json
import time
from typing import Any, Final

import redis

from cachekeeper.core.waiting import Waiting
from cachekeeper.errors import BrokerUnavailable
from cachekeeper.names import QUEUES, SENT

SCHEMES: Final = ("redis://", "rediss://", "unix://")
TIMEOUT_S: Final = 2.0
#: Where kombu puts messages by their priority. Ours have none; other producers' may.
PRIORITIES: Final = ("", "\x06\x163", "\x06\x166", "\x06\x169")


class RedisQueues:
    """The lists that kombu makes of our queues."""

    def __init__(self, url: str) -> None:
        # Any: redis-py types every reply as bytes or str; here all are bytes.
        self._redis: Any = redis.Redis.from_url(
            url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S
        )

    def waiting(self) -> dict[str, Waiting]:
        """What waits in each queue, most urgent first; the next to be taken counts as the oldest.

        Raises:
            BrokerUnavailable: they can't be looked at.
        """
        lists = [queue + priority for queue in QUEUES for priority in PRIORITIES]
        try:
            with self._redis.pipeline(transaction=False) as pipe:
                for name in lists:
                    pipe.llen(name)
                    pipe.lindex(name, -1)  # taken from there
                replies = iter(pipe.execute())
        except redis.RedisError as error:
            raise BrokerUnavailable(f"broker: {error}") from error
        found = {}
        for queue in QUEUES:
            pairs = [(next(replies), next(replies)) for _ in PRIORITIES]
            sent = [when for _, raw in pairs if raw and (when := sent_at(raw)) is not None]
            found[queue] = Waiting(sum(count for count, _ in pairs), min(sent, default=None))
        return found

    def close(self) -> None:
        """Close the connections."""
        self._redis.close()


def open_queues(url: str) -> RedisQueues | None:
    """The queues of a broker; None if it is no Redis that can be reached by its URL alone."""
    return RedisQueues(url) if url.startswith(SCHEMES) else None


def sent_at(raw: bytes) -> float | None:
    """When a message, which may be anybody's, says that it was sent; None if it does not."""
    try:
        sent = json.loads(raw)["headers"][SENT]
    except (ValueError, TypeError, LookupError, RecursionError):
        return None
    if isinstance(sent, bool) or not isinstance(sent, int | float):
        return None
    return float(sent) if 0 < sent <= time.time() else None
