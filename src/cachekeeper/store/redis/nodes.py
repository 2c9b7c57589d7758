"""Nodes: the processes that hold a memory tier, and how far each has followed the log."""

from __future__ import annotations

from collections.abc import Iterable

from cachekeeper.core.stamps import Moment
from cachekeeper.store.redis.connection import Connection, reachable
from cachekeeper.store.redis.marks import Marked, parse


class RedisNodes:
    """Who has to have seen a mark before a strict invalidation may succeed."""

    def __init__(self, connection: Connection) -> None:
        self._c = connection

    def join(self, node: str) -> Moment:
        """Register a node whose memory is empty; returns the moment that it starts from."""
        layout = self._c.layout
        keys = [layout.acks, layout.renewals, layout.clock]
        return self._saw(Moment(*map(int, self._c.run("join", keys, [node]))))

    def renew(self, node: str, applied: Moment) -> bool:
        """Acknowledge the log up to a moment; True grants a lease, False asks to join anew."""
        layout = self._c.layout
        keys = [layout.acks, layout.renewals, layout.fenced, layout.clock]
        return bool(self._c.run("renew", keys, [node, applied.incarnation, applied.epoch]))

    def fence(self, epoch: int) -> list[str]:
        """Grant no lease any more to nodes that have not acknowledged an epoch; returns them."""
        layout = self._c.layout
        found = self._c.run("fence", [layout.acks, layout.fenced], [epoch])
        return sorted(name.decode() for name in found)

    def fence_silent(self, for_s: float) -> list[str]:
        """Fence nodes that have not renewed for so long by the server's clock; returns them."""
        layout = self._c.layout
        with reachable():
            now, _ = self._c.redis.time()
            found = self._c.redis.zrangebyscore(layout.renewals, "-inf", now - for_s)
            if found:
                self._c.redis.sadd(layout.fenced, *found)
        return sorted(name.decode() for name in found)

    def leave(self, nodes: Iterable[str]) -> None:
        """Forget nodes that serve nothing from memory any more."""
        gone, layout = list(nodes), self._c.layout
        if gone:
            with reachable(), self._c.redis.pipeline() as pipe:
                pipe.hdel(layout.acks, *gone)
                pipe.zrem(layout.renewals, *gone)
                pipe.srem(layout.fenced, *gone)
                pipe.execute()

    def acknowledged(self) -> tuple[int, dict[str, int]]:
        """The incarnation, and every registered node with the epoch it has applied."""
        with reachable(), self._c.redis.pipeline(transaction=True) as pipe:
            pipe.hget(self._c.layout.clock, "incarnation")
            pipe.hgetall(self._c.layout.acks)
            incarnation, found = pipe.execute()
        return int(incarnation or 0), {name.decode(): int(ack) for name, ack in found.items()}

    def follow(self, after: int, block_ms: int) -> list[Marked]:
        """The log after an epoch, waiting up to ``block_ms`` for a line of it."""
        with reachable():
            streams = self._c.redis.xread({self._c.layout.log: f"{after}-0"}, block=block_ms)
        return [parse(*line) for line in _lines(streams)]

    def _saw(self, moment: Moment) -> Moment:
        self._c.incarnations.saw(moment)
        return moment


def _lines(streams: object) -> list[tuple[bytes, dict[bytes, bytes]]]:
    """The lines of the one stream that was asked for, in RESP2's and RESP3's shape."""
    if not streams:
        return []
    if isinstance(streams, dict):
        found = next(iter(streams.values()))
        return list(found[0]) if found and isinstance(found[0], list) else list(found)
    assert isinstance(streams, list)
    return list(streams[0][1])
