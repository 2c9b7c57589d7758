"""The dependency graph in Redis: who was derived from whom, and a log of changes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from cachekeeper.store.redis.connection import Connection, reachable

LOG_LENGTH = 100_000
CHUNK = 500


@dataclass(frozen=True, slots=True)
class Change:
    """One edge that came (``+``) or went (``-``)."""

    op: str
    u: str
    v: str


class RedisGraph:
    """Adjacency both ways. An edge ``u -> v`` says that v was derived from u."""

    def __init__(self, connection: Connection) -> None:
        self._c = connection

    def link(self, key: str, inputs: Iterable[str]) -> int:
        """Say what a key was derived from, replacing what was said before; edges changed."""
        layout = self._c.layout
        keys = [layout.graph_nodes, layout.graph_log, layout.graph_in(key)]
        return int(self._c.run("link", keys, [key, LOG_LENGTH, layout.graph_out(""), *inputs]))

    def add(self, key: str, inputs: Iterable[str]) -> int:
        """Say that a key was derived from more than was said before; edges added."""
        return self.link(key, dict.fromkeys([*self.inputs(key), *inputs]))

    def inputs(self, key: str) -> list[str]:
        """What a key was derived from."""
        return self._members(self._c.layout.graph_in(key))

    def dependents(self, key: str) -> list[str]:
        """What was derived from a key."""
        return self._members(self._c.layout.graph_out(key))

    def nodes(self) -> list[str]:
        """Every key the graph knows."""
        return self._members(self._c.layout.graph_nodes)

    def edges(self) -> Iterator[tuple[str, str]]:
        """Every edge."""
        nodes = self.nodes()
        for start in range(0, len(nodes), CHUNK):
            chunk = nodes[start : start + CHUNK]
            with reachable(), self._c.redis.pipeline(transaction=False) as pipe:
                for node in chunk:
                    pipe.smembers(self._c.layout.graph_out(node))
                found = pipe.execute()
            for node, dependents in zip(chunk, found, strict=True):
                yield from ((node, raw.decode()) for raw in dependents)

    def position(self) -> str:
        """The id of the last change."""
        with reachable():
            last = self._c.redis.xrevrange(self._c.layout.graph_log, count=1)
        return last[0][0].decode() if last else "0-0"

    def changes(self, after: str) -> tuple[str, list[Change]] | None:
        """The position now and the changes since; None when the log no longer reaches back."""
        with reachable(), self._c.redis.pipeline() as pipe:
            pipe.xrange(self._c.layout.graph_log, f"({after}")
            pipe.xrange(self._c.layout.graph_log, after, after)
            pipe.exists(self._c.layout.graph_log)
            lines, anchor, exists = pipe.execute()
        if not anchor and (exists or after != "0-0"):
            return None
        found = [Change(d[b"op"].decode(), d[b"u"].decode(), d[b"v"].decode()) for _, d in lines]
        return (lines[-1][0].decode() if lines else after), found

    def prune(self, key: str) -> bool:
        """Forget a key without value and without dependents; whether it went."""
        layout = self._c.layout
        keys = [
            layout.graph_nodes,
            layout.graph_log,
            layout.graph_in(key),
            layout.graph_out(key),
            layout.value(key),
            layout.binding(key),
        ]
        return bool(self._c.run("prune", keys, [key, LOG_LENGTH, layout.graph_out("")]))

    def publish(self, statistics: dict[str, int | float]) -> None:
        """Keep the figures of a refresh."""
        with reachable():
            self._c.redis.hset(self._c.layout.graph_stats, mapping=statistics)

    def statistics(self) -> dict[str, float]:
        """The figures of the last refresh."""
        with reachable():
            found = self._c.redis.hgetall(self._c.layout.graph_stats)
        return {name.decode(): float(value) for name, value in found.items()}

    def _members(self, name: str) -> list[str]:
        with reachable():
            return sorted(raw.decode() for raw in self._c.redis.smembers(name))
