"""Requests of units of work, kept until it is sure that they are done, in Redis.

A request is *prepared* until its transaction has ended or its deadline has passed, then *released*
until it was sent. Deadlines are the server's time: the clocks of producers and workers don't count.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Final

from cachekeeper.core.request import Request
from cachekeeper.errors import CacheFull
from cachekeeper.store.redis.connection import Arg, Connection, reachable

#: Requests of transactions that go on, and of a broker that is away.
PREPARED_AT_MOST: Final = 100_000
#: A producer has sent what it released by then, or knows that it can't.
SENT_BY_S: Final = 10.0


class RedisPrepared:
    """What units of work recorded before their transactions committed."""

    def __init__(self, connection: Connection) -> None:
        self._c = connection

    def prepare(self, requests: Sequence[Request], deadline_s: float) -> None:
        """Record requests, which are done in so many seconds unless they are cancelled.

        Raises:
            CacheFull: too many are recorded, or the server has no room; nothing was recorded.
            CacheUnavailable: the server can't be reached.
        """
        keys = [self._c.layout.prepared, self._c.layout.prepared_requests]
        args: list[Arg] = [deadline_s, PREPARED_AT_MOST]
        for request in requests:
            args += [request.id, json.dumps(request.to_wire())]
        if not self._c.run("prepare", keys, args):
            raise CacheFull(f"prepared requests: {PREPARED_AT_MOST} wait for their transactions")

    def release(self, requests: Sequence[Request]) -> list[Request]:
        """Their transaction has committed: the requests to be done now, and then forgotten.

        One whose deadline had passed before comes back under another id, since it has to be done
        once more. Raises CacheUnavailable.
        """
        spares = [replace(request, id=uuid.uuid4().hex) for request in requests]
        args: list[Arg] = [SENT_BY_S]
        for request, spare in zip(requests, spares, strict=True):
            args += [request.id, spare.id, json.dumps(spare.to_wire())]
        by_id = {request.id: request for request in (*requests, *spares)}
        return [by_id[raw.decode()] for raw in self._c.run("release", self._keys, args)]

    def cancel(self, ids: Iterable[str]) -> int:
        """Their transaction was rolled back; returns how many were not done or on their way."""
        keys = [self._c.layout.prepared, self._c.layout.prepared_requests]
        return int(self._c.run("cancel", keys, list(ids)))

    def overdue(self, limit: int, again_s: float) -> list[dict[str, Any]]:
        """Requests, as on the wire, whose deadline has passed or that nobody has sent in time.

        They come again in so many seconds unless they are forgotten.
        """
        found = self._c.run("overdue", self._keys, [limit, again_s])
        return [json.loads(raw) for raw in found]

    def forget(self, ids: Sequence[str]) -> None:
        """They were sent."""
        if ids:
            layout = self._c.layout
            with reachable(), self._c.redis.pipeline(transaction=True) as pipe:
                pipe.zrem(layout.released, *ids)
                pipe.hdel(layout.prepared_requests, *ids)
                pipe.execute()

    def waiting(self) -> tuple[int, int]:
        """How many are prepared, and how many released but not known to be sent."""
        layout = self._c.layout
        with reachable():
            return int(self._c.redis.zcard(layout.prepared)), int(
                self._c.redis.zcard(layout.released)
            )

    @property
    def _keys(self) -> list[str]:
        layout = self._c.layout
        return [layout.prepared, layout.released, layout.prepared_requests]
