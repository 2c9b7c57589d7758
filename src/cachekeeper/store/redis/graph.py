"""The dependency graph in Redis: who was derived from whom, and a log of changes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from cachekeeper.core.ports.tiers import NO_INPUTS, Inputs
from cachekeeper.store.redis.connection import Arg, Connection, reachable

#: Changes kept: a snapshot that is farther behind loads anew.
LOG_LENGTH = 250_000
CHUNK = 500
CHANGES_AT_ONCE = 5000
#: Where the log of changes stands before the first one.
START = "0-0"


@dataclass(frozen=True, slots=True)
class Change:
    """What became of the inputs of a key."""

    v: str
    added: tuple[str, ...]
    removed: tuple[str, ...]


class RedisGraph:
    """Adjacency both ways. An edge ``u -> v`` says that v was derived from u."""

    def __init__(self, connection: Connection) -> None:
        self._c = connection

    def link(
        self,
        key: str,
        inputs: Iterable[str],
        *,
        more: bool = False,
        read: Inputs = NO_INPUTS,
        sources: Iterable[str] = (),
    ) -> int:
        """Say what a key was derived from, instead of what was said before or ``more``.

        ``read`` tells of inputs when what was read of them had been filled: of one that is stored
        so no more its edges say nothing, and the key is linked to all ``sources`` as well.
        Returns how many edges came or went. A fill does this by itself, in one step with the value.
        """
        layout = self._c.layout
        keys = [layout.graph_nodes, layout.graph_log, layout.graph_stats]
        mode = "more" if more else "instead"
        args: list[Arg] = [key, LOG_LENGTH, layout.graph_in(""), layout.graph_out("")]
        args += [layout.value(""), layout.binding(""), layout.group(""), mode]
        named = [part for each in inputs for part in (each, read.get(each, 0.0))]
        return int(self._c.run("link", keys, [*args, len(named) // 2, *named, *sources]))

    def inputs(self, key: str, limit: int | None = None) -> list[str]:
        """What a key was derived from, or some of it."""
        return self._members(self._c.layout.graph_in(key), limit)

    def dependents(self, key: str, limit: int | None = None) -> list[str]:
        """What was derived from a key, or some of it."""
        return self._members(self._c.layout.graph_out(key), limit)

    def degrees(self, key: str) -> tuple[int, int]:
        """How many inputs and dependents a key has."""
        with reachable(), self._c.redis.pipeline(transaction=False) as pipe:
            pipe.scard(self._c.layout.graph_in(key))
            pipe.scard(self._c.layout.graph_out(key))
            into, out = pipe.execute()
        return int(into), int(out)

    def nodes(self) -> Iterator[str]:
        """Every key that has an edge; one may come twice while the graph is changed."""
        with reachable():
            for raw in self._c.redis.sscan_iter(self._c.layout.graph_nodes, count=CHUNK):
                yield raw.decode()

    def edges(self) -> Iterator[tuple[str, str]]:
        """Every edge; one may come twice while the graph is changed."""
        for chunk in _batched(self.nodes(), CHUNK):
            with reachable(), self._c.redis.pipeline(transaction=False) as pipe:
                for node in chunk:
                    pipe.smembers(self._c.layout.graph_in(node))
                found = pipe.execute()
            for node, inputs in zip(chunk, found, strict=True):
                yield from ((raw.decode(), node) for raw in inputs)

    def position(self) -> str:
        """The id of the last change."""
        with reachable():
            last = self._c.redis.xrevrange(self._c.layout.graph_log, count=1)
        return last[0][0].decode() if last else START

    def changes(self, after: str) -> tuple[str, list[Change], bool] | None:
        """The next changes, where they end, and whether there are more.

        None when the log does not reach back to ``after``, so that some may be missing.
        """
        with reachable():
            lines = self._c.redis.xrange(self._c.layout.graph_log, after, count=CHANGES_AT_ONCE)
        if after == START:  # nothing stands there: only an empty log is sure to reach back
            return None if lines else (START, [], False)
        if not lines or lines[0][0].decode() != after:
            return None
        changes = [_change(data) for _, data in lines[1:]]
        return lines[-1][0].decode(), changes, len(lines) == CHANGES_AT_ONCE

    def prune(self, keys: Iterable[str]) -> list[str]:
        """Forget those of some keys that have no value and no dependents; returns them."""
        layout, gone = self._c.layout, list[str]()
        for chunk in _batched(keys, CHUNK):
            names = [layout.graph_nodes, layout.graph_log, layout.graph_stats]
            args: list[Arg] = [LOG_LENGTH, layout.graph_in(""), layout.graph_out("")]
            args += [layout.value(""), layout.binding("")]
            gone += [raw.decode() for raw in self._c.run("prune", names, [*args, *chunk])]
        return gone

    def folded(self) -> int:
        """How many values have a group in place of too many sources, or of declared ones."""
        with reachable():
            return int(self._c.redis.zcard(self._c.layout.groups))

    def publish(self, statistics: Mapping[str, int | float]) -> None:
        """Keep the figures of a refresh."""
        with reachable():
            self._c.redis.hset(self._c.layout.graph_stats, mapping=dict(statistics))

    def statistics(self) -> dict[str, float]:
        """The figures of the last refresh."""
        with reachable():
            found = self._c.redis.hgetall(self._c.layout.graph_stats)
        return {name.decode(): float(value) for name, value in found.items()}

    def _members(self, name: str, limit: int | None) -> list[str]:
        with reachable():
            if limit is None:
                found = self._c.redis.smembers(name)
            else:  # a set may have a million members; a scan may tell one twice
                some = self._c.redis.sscan_iter(name, count=min(limit, CHUNK))
                found = set(islice(some, limit))
        return sorted(raw.decode() for raw in found)


def _batched(keys: Iterable[str], size: int) -> Iterator[list[str]]:
    """The keys in lists of at most ``size``."""
    left = iter(keys)
    while chunk := list(islice(left, size)):
        yield chunk


def _change(data: dict[bytes, bytes]) -> Change:
    return Change(data[b"v"].decode(), _names(data[b"+"]), _names(data[b"-"]))


def _names(joined: bytes) -> tuple[str, ...]:
    return tuple(joined.decode().split("\0")) if joined else ()
