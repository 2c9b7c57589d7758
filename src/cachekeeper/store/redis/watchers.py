"""What the watchers of an origin say of themselves."""

from __future__ import annotations

import json
from dataclasses import asdict

from cachekeeper.core.ports.changes import Watching
from cachekeeper.store.redis.connection import Connection, reachable

#: A watcher that has said nothing for so long is gone.
SILENT_S = 30


class RedisWatchers:
    """The last words of each watcher."""

    def __init__(self, connection: Connection) -> None:
        self._c = connection

    def say(self, watching: Watching) -> None:
        """Note how a watcher is. Raises CacheUnavailable, CacheFull."""
        key = self._c.layout.watching
        with reachable(), self._c.redis.pipeline(transaction=True) as pipe:
            pipe.hset(key, watching.by, json.dumps(asdict(watching)))
            pipe.expire(key, 10 * SILENT_S)
            pipe.execute()

    def leave(self, by: str) -> None:
        """A watcher ends. Raises CacheUnavailable."""
        with reachable():
            self._c.redis.hdel(self._c.layout.watching, by)

    def heard(self, now: float) -> list[Watching]:
        """Those that were heard of lately. Raises CacheUnavailable."""
        with reachable():
            raw = self._c.redis.hvals(self._c.layout.watching)
        found = [Watching(**json.loads(each)) for each in raw]
        return sorted((w for w in found if now - w.at <= SILENT_S), key=lambda w: w.by)
