"""Stamped records in Redis: the values of the Redis tier and the bindings of the disk tier."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from cachekeeper.core.stamps import Entry, Found, Stamp
from cachekeeper.store.redis.connection import Arg, Connection, reachable

#: The expiry index lives this much longer than a member added to it.
INDEX_SLACK_S = 3600


class Records:
    """One kind of stamped record; ``name`` makes its Redis key from a cache key."""

    def __init__(self, connection: Connection, name: Callable[[str], str]) -> None:
        self._c, self._name = connection, name

    def read(self, key: str) -> Found | None:
        """The record if it is fresh; a stale one is removed."""
        layout = self._c.layout
        found = self._c.run("read", [self._name(key), layout.marks, layout.epoch], [])
        if not found or found[0] == 0:
            return None
        _, epoch, body, as_of, sources, filled, expires = found
        stamp = Stamp(int(as_of), tuple(sources.decode().split("\n")))
        return Found(Entry(body, stamp, float(filled), float(expires)), int(epoch))

    def fill(self, key: str, found: Found) -> int | None:
        """Store a record; None when one of its sources was invalidated meanwhile."""
        layout, entry = self._c.layout, found.entry
        lifetime = int(entry.expires - entry.filled) + INDEX_SLACK_S
        keys = [self._name(key), layout.marks, layout.expiry, layout.epoch]
        args: list[Arg] = [key, entry.body, entry.stamp.as_of, entry.filled, entry.expires]
        epoch = self._c.run("fill", keys, [*args, lifetime, *entry.stamp.sources])
        return None if epoch is None else int(epoch)

    def remove(self, keys: Iterable[str]) -> int:
        """Delete records; returns how many there were."""
        names = [self._name(key) for key in keys]
        if not names:
            return 0
        with reachable():
            return int(self._c.redis.unlink(*names))

    def present(self, keys: Iterable[str]) -> list[str]:
        """Those of the keys that have a record, fresh or not."""
        keys = list(keys)
        with reachable(), self._c.redis.pipeline(transaction=False) as pipe:
            for key in keys:
                pipe.exists(self._name(key))
            return [key for key, there in zip(keys, pipe.execute(), strict=True) if there]

    def bodies(self) -> Iterable[bytes]:
        """The body of every record there is (a scan: for maintenance)."""
        with reachable():
            for name in self._c.redis.scan_iter(match=_literal(self._name("")) + "*", count=500):
                body = self._c.redis.hget(name, "body")
                if body is not None:
                    yield body


class RedisTier(Records):
    """The tier that a site's services share."""

    name = "redis"

    def __init__(self, connection: Connection, largest: int) -> None:
        super().__init__(connection, connection.layout.value)
        self._largest = largest

    def fill(self, key: str, found: Found) -> int | None:
        """Store a value of at most the tier's largest size; bigger ones are the disk tier's."""
        if found.entry.size > self._largest:
            self.remove([key])
            return None
        return super().fill(key, found)


class RedisExpiry:
    """When each key expires, in order."""

    def __init__(self, connection: Connection) -> None:
        self._c = connection

    def due(self, now: float, limit: int) -> list[str]:
        """The keys whose time has come, the oldest first."""
        with reachable():
            found = self._c.redis.zrange(
                self._c.layout.expiry, "-inf", now, byscore=True, offset=0, num=limit
            )
        return [raw.decode() for raw in found]

    def forget(self, keys: Iterable[str], now: float) -> None:
        """Drop keys from the index unless they were filled again meanwhile."""
        self._c.run("forget", [self._c.layout.expiry], [now, *keys])


def _literal(text: str) -> str:
    """``text`` as a pattern that matches only itself."""
    return "".join(f"\\{c}" if c in "*?[]\\^" else c for c in text)
