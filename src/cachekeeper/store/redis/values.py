"""Stamped records in Redis: the values of the Redis tier and the bindings of the disk tier."""

from __future__ import annotations

import logging
import struct
from collections.abc import Callable, Iterable
from typing import Any

from cachekeeper.core.looked import Looked
from cachekeeper.core.ports.tiers import NO_INPUTS, Inputs
from cachekeeper.core.preview import Weight
from cachekeeper.core.stamps import Entry, Found, Moment, Stamp, group_of, told
from cachekeeper.errors import CacheFull
from cachekeeper.store.redis.connection import Arg, Connection, reachable
from cachekeeper.store.redis.expiry import INDEX_SLACK_S, as_time
from cachekeeper.store.redis.graph import LOG_LENGTH

log = logging.getLogger(__name__)

ASKED_AT_ONCE = 500
#: Incarnation, as_of, filled, expires, accesses, number of sources and how many bytes they take,
#: how long the loader took (parts/record.lua).
_HEADER = struct.Struct(">ddddIHIf")


class Records:
    """One kind of stamped record; ``name`` makes its Redis key from a cache key.

    ``other`` makes that of the key's record in the other tier; with ``cascades``, what was derived
    from a value that had expired is invalidated once that is made anew; ``listed`` is the set that
    lists the namespaces of the records, for a kind that few namespaces have.
    """

    def __init__(
        self,
        connection: Connection,
        name: Callable[[str], str],
        other: Callable[[str], str],
        *,
        cascades: bool = False,
        listed: str = "",
    ) -> None:
        self._c, self._name, self._other, self._listed = connection, name, other, listed
        self._layout, self._cascades = connection.layout, cascades

    def read(self, key: str) -> Found | None:
        """The record if it is fresh; a stale one is removed."""
        layout = self._layout
        found = self._c.run("read", [self._name(key), layout.marks, layout.clock], [key])
        return _unpacked(*found) if found else None

    def look_at(self, key: str, number: int = 0) -> tuple[Looked, bytes] | None:
        """What a record says of itself, fresh or not, and the first bytes of its body."""
        layout = self._layout
        found = self._c.run("look", [self._name(key), layout.marks, layout.clock], [key, number])
        if not found:
            return None
        size, record, first, now, mark, source = found
        entry = _unpacked(0, record).entry
        stale = ""
        if entry.stamp.as_of.incarnation != int(now or 0):
            stale = "made before the server began anew"
        elif mark:
            stale = f"{told(source.decode())} was invalidated at epoch {int(mark)}, later than this"
        return Looked(int(size), entry.stamp, entry.filled, entry.expires, stale), first

    def fill(self, key: str, found: Found, inputs: Inputs | None = NO_INPUTS) -> Found | None:
        """Store a record; None when a source of it was invalidated, or there is no room.

        What it was made from goes into the graph in the same step. A copy (``inputs`` None) is
        stored only while the other tier has what was copied.

        Returns it as it was stored: with a group in place of too many sources, and a copy with the
        life that the other tier's has by now.
        """
        layout, entry = self._layout, found.entry
        folded = entry.stamp.folded(key)
        group = "" if folded is entry.stamp else group_of(key)
        keys = [self._name(key), layout.marks, layout.clock, layout.expiry, layout.groups]
        keys += [layout.graph_nodes, layout.graph_log, layout.graph_stats, self._other(key)]
        keys += [layout.expired, *([self._listed] if self._listed else [])]
        args: list[Arg] = [
            key,
            entry.stamp.as_of.incarnation,
            entry.stamp.as_of.epoch,
            entry.filled,
            entry.expires,
            int(entry.expires - entry.filled) + INDEX_SLACK_S,
            group,
            layout.groups_of(""),
            layout.group(""),
            layout.subgroups(""),
            entry.body,
            LOG_LENGTH,
            layout.graph_in(""),
            layout.graph_out(""),
            layout.value(""),
            layout.binding(""),
            entry.load_s,
            int(self._cascades),
            -1 if inputs is None else len(inputs),
            *(part for read in (inputs or NO_INPUTS).items() for part in read),
            *entry.stamp.sources,
        ]
        try:
            stored = self._c.run("fill", keys, args)
        except CacheFull as error:  # the reader has the value all the same
            log.warning("not_stored key=%s: %s", key, error)
            return None
        if stored is None:
            return None
        at = Moment(entry.stamp.as_of.incarnation, int(stored[0]))
        return Found(entry._replace(stamp=folded, expires=as_time(stored[1])), at)

    def remove(self, keys: Iterable[str]) -> int:
        """Delete records; returns how many there were."""
        before = self._name("")
        names = [before + key for key in self._possible(keys)]
        starts = range(0, len(names), ASKED_AT_ONCE)
        with self._c.line() as line:
            for start in starts:  # the server works while the next are made ready
                line.send(("UNLINK", *names[start : start + ASKED_AT_ONCE]))
            return sum(int(line.reply()) for _ in starts)

    def _possible(self, keys: Iterable[str]) -> Iterable[str]:
        """The keys without those of which there was never a record."""
        if not self._listed:
            return keys
        with reachable():
            found = self._c.redis.smembers(self._listed)
        prefixes = tuple(f"{namespace.decode()}:" for namespace in found)
        return [key for key in keys if key.startswith(prefixes)] if prefixes else []

    def present(self, keys: Iterable[str]) -> list[str]:
        """Those of the keys that have a record, fresh or not."""
        keys = list(keys)
        with reachable(), self._c.redis.pipeline(transaction=False) as pipe:
            for key in keys:
                pipe.exists(self._name(key))
            return [key for key, there in zip(keys, pipe.execute(), strict=True) if there]

    def lengths(self, keys: Iterable[str]) -> list[int]:
        """How many bytes each key's record takes, 0 for none."""
        return self._of_each(keys, lambda pipe, name: pipe.strlen(name))

    def last_bytes(self, keys: Iterable[str], number: int) -> list[bytes]:
        """The end of each key's record, nothing for none."""
        return self._of_each(keys, lambda pipe, name: pipe.getrange(name, -number, -1))

    def _of_each(self, keys: Iterable[str], ask: Callable[[Any, str], object]) -> list[Any]:
        names, replies = [self._name(key) for key in keys], list[Any]()
        for start in range(0, len(names), ASKED_AT_ONCE):
            with reachable(), self._c.redis.pipeline(transaction=False) as pipe:
                for name in names[start : start + ASKED_AT_ONCE]:
                    ask(pipe, name)
                replies += pipe.execute()
        return replies

    def bodies(self) -> Iterable[bytes]:
        """The body of every record there is (a scan: for maintenance)."""
        with reachable():
            for name in self._c.redis.scan_iter(match=_literal(self._name("")) + "*", count=500):
                record = self._c.redis.get(name)
                if record is not None:
                    yield _unpacked(0, record).entry.body


class RedisTier(Records):
    """The tier that a site's services share."""

    name = "redis"

    def __init__(self, connection: Connection, largest: int, *, cascades: bool = False) -> None:
        layout = connection.layout
        super().__init__(connection, layout.value, layout.binding, cascades=cascades)
        self._largest = largest

    def takes(self, key: str, size: int) -> bool:  # noqa: ARG002  # all keys alike
        """Whether a value is of at most the tier's largest size; bigger ones are the disk's."""
        return size <= self._largest

    def fill(self, key: str, found: Found, inputs: Inputs | None = NO_INPUTS) -> Found | None:
        """Store a value that the tier takes."""
        if not self.takes(key, found.entry.size):
            self.remove([key])
            return None
        return super().fill(key, found, inputs)

    def look(self, key: str) -> Looked | None:
        """What it holds under a key, fresh or not."""
        found = self.look_at(key)
        return None if found is None else found[0]

    def weigh(self, keys: Iterable[str]) -> Weight:
        """What the keys' records take, fresh or not, with their stamps."""
        lengths = [length for length in self.lengths(keys) if length]
        return Weight(len(lengths), sum(lengths))


def _unpacked(epoch: bytes | int, record: bytes) -> Found:
    """A record as fill.lua wrote it, found valid at an epoch."""
    incarnation, as_of, filled, expires, _, _, size, load_s = _HEADER.unpack_from(record)
    body = _HEADER.size + size
    # All at once, up to the zero byte that ends the last one: a name at a time takes thrice as long
    names = record[_HEADER.size : body - 1].decode().split("\0") if size else ()
    stamp = Stamp(Moment(int(incarnation), int(as_of)), tuple(names))
    at = Moment(stamp.as_of.incarnation, int(epoch))
    return Found(Entry(record[body:], stamp, filled, expires, load_s), at)


def _literal(text: str) -> str:
    """``text`` as a pattern that matches only itself."""
    return "".join(f"\\{c}" if c in "*?[]\\^" else c for c in text)
