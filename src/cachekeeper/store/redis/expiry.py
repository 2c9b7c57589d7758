"""When keys expire: the index, what an access adds to a life, and the sweep of what has ended."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence

from redis.exceptions import ResponseError

from cachekeeper.core.ports.tiers import Swept
from cachekeeper.core.preview import Members
from cachekeeper.core.ttl import LEAST_GAIN, Accessed
from cachekeeper.store.redis.connection import Arg, Connection, reachable
from cachekeeper.store.redis.graph import LOG_LENGTH

#: The expiry index lives this much longer than a member added to it.
INDEX_SLACK_S = 3600
ASKED_AT_ONCE = 500
#: Of one call of a script, so that it holds the server for few milliseconds.
EXTENDED_A_CALL = 100
EDGES_A_CALL = 1000


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

    def when(self, key: str) -> float | None:
        """When a key that was stored expires; None once the sweep has forgotten it."""
        with reachable():
            found = self._c.redis.zscore(self._c.layout.expiry, key)
        return None if found is None else float(found)

    def evictions(self) -> int | None:
        """How many values the server took away for room since it started; None if unknown."""
        try:
            with reachable():
                return int(self._c.redis.info("stats")["evicted_keys"])
        except (KeyError, ResponseError):  # one that does not let us ask
            return None

    def members(self, namespace: str, now: float, at_most: int) -> Members:
        """How many keys of a namespace are stored, among so many keys that are looked at."""
        prefix, found, looked_at, cursor = f"{namespace}:".encode(), 0, 0, 0
        while looked_at < at_most:
            with reachable():
                cursor, some = self._c.redis.zscan(
                    self._c.layout.expiry, cursor, count=ASKED_AT_ONCE
                )
            looked_at += len(some)
            found += sum(1 for key, expires in some if expires > now and key.startswith(prefix))
            if not cursor:
                break
        return Members(namespace, found, looked_at, complete=not cursor)

    def extend(self, accessed: Sequence[Accessed]) -> list[float | None]:
        """Let values live longer for their accesses, in one round trip (extend.lua).

        Returns when each expires from now on; None for one that is gone, stale or filled anew
        since. What was sent is counted twice if the server is restarted meanwhile.

        Raises:
            CacheUnavailable: the server can't be reached.
            CacheFull: it has no room; nothing lives longer.
        """
        layout = self._c.layout
        calls: list[tuple[list[str], list[Arg]]] = []
        for start in range(0, len(accessed), EXTENDED_A_CALL):
            keys = [layout.marks, layout.clock, layout.expiry, layout.groups]
            args: list[Arg] = [INDEX_SLACK_S, LEAST_GAIN, layout.subgroups("")]
            for each in accessed[start : start + EXTENDED_A_CALL]:
                rule, share = each.lifetime, each.lifetime.share(each.key)
                keys += [layout.value(each.key), layout.binding(each.key)]
                args += [each.key, each.filled, each.accesses]
                args += [rule.base_s * share, rule.multiplier, rule.most(each.key)]
            calls.append((keys, args))
        replies = self._c.run_all("extend", calls) if calls else []
        return [as_time(raw) if raw else None for reply in replies for raw in reply]

    def sweep(self, now: float, limit: int, *, cascades: bool) -> Swept:
        """Remove the oldest keys whose time has come, at most ``limit``, wherever they are.

        With ``cascades``, those that something was derived from are to be had from ``expired``.
        """
        layout = self._c.layout
        keys = [layout.expiry, layout.graph_nodes, layout.graph_log, layout.graph_stats]
        args: list[Arg] = [now, limit, EDGES_A_CALL, int(cascades), LOG_LENGTH]
        args += [layout.graph_in(""), layout.graph_out(""), layout.value(""), layout.binding("")]
        removed, pruned, more = self._c.run("sweep", [*keys, layout.expired], args)
        return Swept(int(removed), int(pruned), bool(more))

    def expired(self, limit: int) -> list[str]:
        """Some keys that have expired, and whose dependents are to be invalidated for it."""
        with reachable():
            found = self._c.redis.srandmember(self._c.layout.expired, limit)
        return [raw.decode() for raw in found]

    def invalidated(self, keys: Iterable[str]) -> None:
        """What was derived from them is being invalidated."""
        names = list(keys)
        if names:
            with reachable():
                self._c.redis.srem(self._c.layout.expired, *names)


def as_time(packed: bytes) -> float:
    """A time as scripts return it, to the last bit."""
    return float(struct.unpack(">d", packed)[0])
