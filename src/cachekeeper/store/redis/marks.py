"""Marks, their log, and the nodes that follow it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from cachekeeper.core.request import Request
from cachekeeper.core.stamps import source_of_key
from cachekeeper.store.redis.connection import Arg, Connection, reachable

TRIM_CHUNK = 500


@dataclass(frozen=True, slots=True)
class Marked:
    """One line of the log."""

    epoch: int
    request: str
    at: float
    strategy: str
    reason: str
    sources: tuple[str, ...]


class RedisMarks:
    """Which source was invalidated last, and when."""

    def __init__(self, connection: Connection, remember_s: float) -> None:
        self._c, self._remember_s = connection, remember_s

    def epoch(self) -> int:
        """The current epoch; take it before computing a value."""
        with reachable():
            return int(self._c.redis.get(self._c.layout.epoch) or 0)

    def mark(self, request: Request, now: float) -> int:
        """Make everything stale that was made from the request's seeds; returns the epoch."""
        layout = self._c.layout
        keys = [layout.epoch, layout.marks, layout.log, layout.marked(request.id)]
        remember = max(1, int(self._remember_s))
        args: list[Arg] = [remember, request.id, now, request.strategy, request.reason]
        return int(self._c.run("mark", keys, [*args, *request.seeds]))

    def last(self, sources: Iterable[str]) -> Marked | None:
        """The latest invalidation of any of the sources, if it is still in the log."""
        with reachable():
            found = self._c.redis.zmscore(self._c.layout.marks, list(sources))
            epochs = [int(e) for e in found if e is not None]
            if not epochs:
                return None
            at = f"{max(epochs)}-0"
            lines = self._c.redis.xrange(self._c.layout.log, at, at)
        return parse(*lines[0]) if lines else None

    def keys_marked(self, keys: Iterable[str]) -> list[str]:
        """Those of the keys that were invalidated themselves at some time."""
        keys = list(keys)
        with reachable():
            found = self._c.redis.zmscore(self._c.layout.marks, [source_of_key(k) for k in keys])
        return [key for key, epoch in zip(keys, found, strict=True) if epoch is not None]

    def trim(self, before: float) -> int:
        """Forget marks set before a time that no stored value can be older than.

        Returns how many lines of the log went.
        """
        layout, gone = self._c.layout, 0
        while True:
            with reachable():
                lines = self._c.redis.xrange(layout.log, count=TRIM_CHUNK)
                old = [entry for entry in (parse(*line) for line in lines) if entry.at < before]
                if not old:
                    return gone
                last = old[-1].epoch
                with self._c.redis.pipeline() as pipe:
                    pipe.zremrangebyscore(layout.marks, "-inf", last)
                    pipe.xtrim(layout.log, minid=f"{last + 1}-0", approximate=False)
                    pipe.execute()
            gone += len(old)
            if len(old) < len(lines):
                return gone


class RedisNodes:
    """The processes that hold a memory tier, and how far each has followed the log."""

    def __init__(self, connection: Connection) -> None:
        self._c = connection

    def report(self, node: str, epoch: int, now: float) -> None:
        """A node says that it lives and has applied the log up to an epoch."""
        with reachable(), self._c.redis.pipeline() as pipe:
            pipe.zadd(self._c.layout.nodes, {node: now})
            pipe.hset(self._c.layout.acks, node, epoch)
            pipe.execute()

    def leave(self, nodes: Iterable[str]) -> None:
        """Forget nodes; they serve nothing from memory any more."""
        gone = list(nodes)
        if gone:
            with reachable(), self._c.redis.pipeline() as pipe:
                pipe.zrem(self._c.layout.nodes, *gone)
                pipe.hdel(self._c.layout.acks, *gone)
                pipe.execute()

    def acknowledged(self) -> dict[str, int]:
        """Every registered node and the epoch it has applied."""
        with reachable(), self._c.redis.pipeline() as pipe:
            pipe.zrange(self._c.layout.nodes, 0, -1)
            pipe.hgetall(self._c.layout.acks)
            names, acks = pipe.execute()
        return {name.decode(): int(acks.get(name, 0)) for name in names}

    def silent_since(self, before: float) -> list[str]:
        """Nodes whose last report is older than a time."""
        with reachable():
            found = self._c.redis.zrangebyscore(self._c.layout.nodes, "-inf", before)
        return [name.decode() for name in found]

    def follow(self, after: int, block_ms: int) -> tuple[int, list[Marked]]:
        """The log after an epoch, waiting up to ``block_ms`` for it: (current epoch, lines)."""
        with reachable():
            streams = self._c.redis.xread({self._c.layout.log: f"{after}-0"}, block=block_ms)
            current = int(self._c.redis.get(self._c.layout.epoch) or 0)
        return current, [parse(*line) for line in (_lines(streams))]


def parse(line_id: bytes, data: dict[bytes, bytes]) -> Marked:
    """One line of the log as Redis gives it."""
    return Marked(
        epoch=int(line_id.partition(b"-")[0]),
        request=data[b"request"].decode(),
        at=float(data[b"at"]),
        strategy=data[b"strategy"].decode(),
        reason=data[b"reason"].decode(),
        sources=tuple(data[b"sources"].decode().split("\n")),
    )


def _lines(streams: object) -> list[tuple[bytes, dict[bytes, bytes]]]:
    """The lines of the one stream that was asked for, in RESP2's and RESP3's shape."""
    if not streams:
        return []
    if isinstance(streams, dict):
        found = next(iter(streams.values()))
        return list(found[0]) if found and isinstance(found[0], list) else list(found)
    assert isinstance(streams, list)
    return list(streams[0][1])
