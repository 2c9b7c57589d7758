"""Keys that were invalidated lazily and whose bytes still lie about."""

from __future__ import annotations

from collections.abc import Iterable

from cachekeeper.store.redis.connection import Connection, reachable


class RedisGarbage:
    """What the lazy sweep has to remove."""

    def __init__(self, connection: Connection) -> None:
        self._c = connection

    def add(self, keys: Iterable[str], now: float) -> None:
        """Remember keys for the sweep."""
        scored = dict.fromkeys(keys, now)
        if scored:
            with reachable():
                self._c.redis.zadd(self._c.layout.lazy, scored)

    def take(self, limit: int) -> list[str]:
        """The oldest keys; they stay until ``done``, so that a killed sweep loses nothing."""
        with reachable():
            found = self._c.redis.zrange(self._c.layout.lazy, 0, limit - 1)
        return [raw.decode() for raw in found]

    def done(self, keys: Iterable[str]) -> None:
        """Their bytes are gone."""
        names = list(keys)
        if names:
            with reachable():
                self._c.redis.zrem(self._c.layout.lazy, *names)
