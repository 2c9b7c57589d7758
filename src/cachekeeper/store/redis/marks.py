"""Marks: what was invalidated when, and why; trimmed when no value can be older."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cachekeeper.core.request import SEEDS_A_MARK, Request, used_id
from cachekeeper.core.stamps import Moment
from cachekeeper.store.redis.connection import Arg, Connection, reachable

TRIM_CHUNK = 500
GROUPS_A_SWEEP = 10_000


@dataclass(frozen=True, slots=True)
class Marked:
    """One line of the log."""

    epoch: int
    request: str
    at: float
    strategy: str
    reason: str
    by: str
    sources: tuple[str, ...]


class RedisMarks:
    """Which source was invalidated last, and when."""

    def __init__(self, connection: Connection, remember_s: float) -> None:
        self._c, self._remember_s = connection, remember_s

    def now(self) -> Moment:
        """The moment; take it before computing a value."""
        with reachable():
            clock = self._c.redis.hmget(self._c.layout.clock, "incarnation", "epoch")
        moment = Moment(int(clock[0] or 0), int(clock[1] or 0))
        self._c.incarnations.saw(moment)
        return moment

    def mark(self, requests: Sequence[Request], now: float) -> list[Moment]:
        """Make everything stale that was made from the requests' seeds; a moment for each.

        All is sent at once; a request with many seeds has several marks.

        Raises:
            InvalidInput: the id of a request was used for other names; others may be marked.
        """
        layout, remember = self._c.layout, max(1, int(self._remember_s))
        calls: list[tuple[list[str], list[Arg]]] = []
        parts = []
        for request in requests:
            seeds = request.seeds
            args: list[Arg] = [remember, request.id, now, request.strategy, request.reason]
            args += [request.by, request.content, layout.groups_of("")]
            starts = range(0, len(seeds), SEEDS_A_MARK)
            for part, start in enumerate(starts):
                marked = layout.marked(request.id, part)
                some = seeds[start : start + SEEDS_A_MARK]
                keys = [layout.clock, layout.marks, layout.log, marked, layout.groups]
                calls.append((keys, [*args, *some]))
            parts.append(len(starts))
        found = iter(self._c.run_all("mark", calls))
        moments = []
        for request, n in zip(requests, parts, strict=True):
            replies = [next(found) for _ in range(n)]
            if None in replies:
                raise used_id(request)
            moments.append(max(Moment(*map(int, reply)) for reply in replies))
        self._c.incarnations.saw(max(moments))
        return moments

    def declare(self, source: str, inputs: Iterable[str], as_of: Moment, expires: float) -> bool:
        """Say that what ``source`` stands for was made from more; False if that is stale by now."""
        layout = self._c.layout
        prefixes = [layout.groups_of(""), layout.group(""), layout.subgroups("")]
        args: list[Arg] = [source, as_of.epoch, expires, *prefixes, *inputs]
        return bool(self._c.run("declare", [layout.groups, layout.marks], args))

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

    def drop_groups(self, now: float) -> int:
        """Forget the groups that no value names any more; returns how many."""
        layout = self._c.layout
        with reachable():
            due = self._c.redis.zrange(
                layout.groups, "-inf", now, byscore=True, offset=0, num=GROUPS_A_SWEEP
            )
        gone = 0
        for group in (raw.decode() for raw in due):
            keys = [layout.groups, layout.group(group), layout.subgroups(group)]
            gone += int(self._c.run("drop_group", keys, [group, now, layout.groups_of("")]))
        return gone


def parse(line_id: bytes, data: dict[bytes, bytes]) -> Marked:
    """One line of the log as Redis gives it."""
    return Marked(
        epoch=int(line_id.partition(b"-")[0]),
        request=data[b"request"].decode(),
        at=float(data[b"at"]),
        strategy=data[b"strategy"].decode(),
        reason=data[b"reason"].decode(),
        by=data.get(b"by", b"").decode(),  # older lines have none
        sources=tuple(data[b"sources"].decode().split("\n")),
    )
