"""What lies in Redis and on disk, looked at from outside: no read of the product is involved."""

from __future__ import annotations

import struct
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from cachekeeper.store.blobs import Blobs
from cachekeeper.store.redis.layout import Layout
from tests.chaos.graph.world import KEYS, Register, Value, unpack

#: Incarnation, as_of, filled, expires, number of sources and their bytes, as fill.lua writes it.
_HEADER = struct.Struct(">ddddIHIf")
BLOBS_KNOWN: Final = 5000
ABOVE_AT_MOST: Final = 400


class Record(NamedTuple):
    """One stored record. ``filled`` in seconds since 1970."""

    key: str
    tier: str
    as_of: int
    filled: float
    sources: tuple[str, ...]
    value: Value


class Evidence:
    """All records of the deployment, and its edges, as they are now."""

    def __init__(self, redis: Any, layout: Layout, blobs: Blobs, register: Register) -> None:
        self._redis, self._layout = redis, layout
        self._blobs, self._register = blobs, register
        self._known: OrderedDict[bytes, Value] = OrderedDict()
        self._names = [layout.value(key) for key in KEYS] + [layout.binding(key) for key in KEYS]

    def made_from_older(self, versions: Mapping[int, int], called: float) -> Iterator[Record]:
        """Records made from an older version of a document than a new one each.

        What was declared counts if it was before ``called`` (CLOCK_MONOTONIC).
        """
        for record in self._records():
            value = record.value
            old = any(value.docs.get(doc, version) < version for doc, version in versions.items())
            if old or any(
                each.version < versions.get(each.doc, 0)
                and 0 < self._register.holds_since(each.slot) < called
                for each in value.declared
            ):
                yield record

    def edges_above(self, key: str) -> dict[str, list[str]]:
        """What a key was derived from by the graph, and that, and so on."""
        found: dict[str, list[str]] = {}
        waiting = [key]
        while waiting and len(found) < ABOVE_AT_MOST:
            v = waiting.pop()
            if v not in found:
                found[v] = sorted(
                    raw.decode() for raw in self._redis.smembers(self._layout.graph_in(v))
                )
                waiting += found[v]
        return found

    def _records(self) -> Iterator[Record]:
        for number, raw in enumerate(self._redis.mget(self._names)):
            if raw is not None:
                tier = "redis" if number < len(KEYS) else "disk"
                _, as_of, filled, _, _, _, size, _ = _HEADER.unpack_from(raw)
                body = raw[_HEADER.size + size :]
                value = unpack(body) if tier == "redis" else self._bound(body)
                if value is not None:
                    names = raw[_HEADER.size : _HEADER.size + size].decode().split("\0")[:-1]
                    key = KEYS[number % len(KEYS)]
                    yield Record(key, tier, int(as_of), filled, tuple(names), value)

    def _bound(self, digest: bytes) -> Value | None:
        """The value of a blob, whose content never changes."""
        if digest not in self._known:
            content = self._blobs.get(digest.hex())
            if content is None:
                return None
            self._known[digest] = unpack(content)
            if len(self._known) > BLOBS_KNOWN:
                self._known.popitem(last=False)
        return self._known[digest]
