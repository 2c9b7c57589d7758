"""Nodes: the processes that hold a memory tier, and how far each has followed the log."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager

from redis.exceptions import NoScriptError

from cachekeeper.core.stamps import Moment
from cachekeeper.errors import CacheUnavailable
from cachekeeper.store.redis.connection import Arg, Connection, reachable, script
from cachekeeper.store.redis.line import Command, Line

RING_S = 60  # a bell, longer than anybody waits for it


class RedisNodes:
    """Who has to have seen a mark before a strict invalidation may succeed.

    ``outwait_s`` is the lease of this process, with the drift of clocks.
    """

    def __init__(self, connection: Connection, outwait_s: float) -> None:
        self._c = connection
        self._outwait_s = outwait_s
        self._bells = uuid.uuid4().hex  # nobody else's

    def join(self, node: str) -> Moment:
        """Register a node whose memory is empty; returns the moment that it starts from."""
        layout = self._c.layout
        keys = [layout.acks, layout.renewals, layout.clock, layout.leases]
        return self._saw(Moment(*map(int, self._c.run("join", keys, [node, self._outwait_s]))))

    def renew(self, node: str, applied: Moment) -> bool:
        """Acknowledge the log up to a moment; True grants a lease, False asks to join anew."""
        return bool(self._c.run("renew", *_renewal(self._c, node, applied)))

    @contextmanager
    def following(self) -> Iterator[Following]:
        """A socket of one node's own. Raises CacheUnavailable, also from within."""
        with self._c.line() as line:
            yield Following(self._c, line)

    def fence(self, epoch: int) -> list[str]:
        """Grant no lease any more to nodes that have not acknowledged an epoch; returns them."""
        layout = self._c.layout
        found = self._c.run("fence", [layout.acks, layout.fenced], [epoch])
        return sorted(name.decode() for name in found)

    def outwait_s(self, nodes: Collection[str] | None = None) -> float:
        """How long the lease of any of these nodes, or of all, lasts at most, with the drift."""
        with reachable():
            if nodes is None:
                found = self._c.redis.hvals(self._c.layout.leases)
            else:
                found = self._c.redis.hmget(self._c.layout.leases, list(nodes))
        return max([self._outwait_s, *(float(lease) for lease in found if lease is not None)])

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
                pipe.zrem(layout.acks, *gone)
                pipe.zrem(layout.renewals, *gone)
                pipe.srem(layout.fenced, *gone)
                pipe.hdel(layout.leases, *gone)
                pipe.execute()

    def acknowledged(self) -> tuple[int, dict[str, int]]:
        """The incarnation, and every registered node with the epoch it has applied."""
        with reachable(), self._c.redis.pipeline(transaction=True) as pipe:
            pipe.hget(self._c.layout.clock, "incarnation")
            pipe.zrange(self._c.layout.acks, 0, -1, withscores=True)
            incarnation, found = pipe.execute()
        return int(incarnation or 0), {name.decode(): int(ack) for name, ack in found}

    def wait(self, epoch: int, timeout_s: float) -> tuple[int, dict[str, int]]:
        """Until every registered node has applied the log up to an epoch, or a while.

        Returns the incarnation, and every node with the epoch it has applied.
        """
        try:
            return self._wait(epoch, timeout_s)
        except CacheUnavailable:  # a restarted server; a dead one is told soon
            return self._wait(epoch, timeout_s)

    def _wait(self, epoch: int, timeout_s: float) -> tuple[int, dict[str, int]]:
        layout, name = self._c.layout, f"{self._bells}-{epoch}"
        bell = layout.bell(name)
        keys = [layout.clock, layout.acks, layout.waiting, bell]
        args: list[Arg] = [epoch, name, RING_S]
        with self._c.line() as line:
            line.send(_call("wait", keys, args), ("BLPOP", bell, timeout_s))
            try:
                found = line.reply()
            except NoScriptError:
                found = self._c.run("wait", keys, args)
            if rung := line.reply():
                found = rung[1].split(b"\n")
        return int(found[0]), {
            node.decode(): int(ack) for node, ack in zip(found[1::2], found[2::2], strict=True)
        }

    def _saw(self, moment: Moment) -> Moment:
        self._c.incarnations.saw(moment)
        return moment


class Following:
    """How a node hears of marks, and says how far it has come: both in one write.

    What follows a mark on every node costs every strict invalidation; so nothing here goes
    through a client library's layers, and of a line of the log only what a node needs is read.
    """

    def __init__(self, connection: Connection, line: Line) -> None:
        self._c, self._line = connection, line

    def ask(self, after: int, block_ms: int, renewal: tuple[str, Moment] | None) -> None:
        """Ask for the log after an epoch, and before that for a lease if there is a renewal.

        It says which node has applied the log up to which moment.
        """
        commands: list[Command] = [
            ("XREAD", "BLOCK", block_ms, "STREAMS", self._c.layout.log, f"{after}-0")
        ]
        if renewal:
            commands.insert(0, _call("renew", *_renewal(self._c, *renewal)))
        self._line.send(*commands)
        self._renewal = renewal

    def granted(self) -> bool:
        """Whether the lease that was asked for is granted; else the node has to join anew."""
        assert self._renewal is not None
        try:
            return bool(self._line.reply())
        except NoScriptError:
            return bool(self._c.run("renew", *_renewal(self._c, *self._renewal)))

    def marked(self) -> list[tuple[int, list[str]]]:
        """Wait for what was asked for: epochs, and the sources that were marked at each."""
        return [
            (int(line_id.partition(b"-")[0]), _sources(fields))
            for line_id, fields in _lines(self._line.reply())
        ]


def _renewal(connection: Connection, node: str, applied: Moment) -> tuple[list[str], list[Arg]]:
    layout = connection.layout
    keys = [layout.acks, layout.renewals, layout.fenced, layout.clock, layout.waiting]
    return keys, [node, applied.incarnation, applied.epoch, layout.bell(""), RING_S]


def _call(name: str, keys: Sequence[str], args: Sequence[Arg]) -> Command:
    return ("EVALSHA", script(name).digest, len(keys), *keys, *args)


def _lines(streams: object) -> list[tuple[bytes, list[bytes]]]:
    """The lines of the one stream that was asked for, in RESP2's and RESP3's shape."""
    if not streams:
        return []
    found = next(iter(streams.values())) if isinstance(streams, dict) else streams[0][1]  # type: ignore[index]
    return list(found)


def _sources(fields: list[bytes]) -> list[str]:
    named = dict(zip(fields[::2], fields[1::2], strict=True))
    return named[b"sources"].decode().split("\n")
