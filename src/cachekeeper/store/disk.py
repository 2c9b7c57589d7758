"""The disk tier: blobs on this host, found through stamped bindings in Redis.

The blob can't be stale, since it is named by its content; the binding of a key to it is a
stamped record like any other, checked at every read.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from cachekeeper.core.stamps import Found
from cachekeeper.store.blobs import Blobs
from cachekeeper.store.redis.connection import Connection
from cachekeeper.store.redis.values import Records


class DiskTier:
    """Values on the disk of this host."""

    name = "disk"

    def __init__(self, blobs: Blobs, connection: Connection) -> None:
        self._blobs, self._bindings = blobs, Records(connection, connection.layout.binding)

    def read(self, key: str) -> Found | None:
        """The value, if its binding is fresh and its blob is on this host."""
        bound = self._bindings.read(key)
        if bound is None:
            return None
        body = self._blobs.get(bound.entry.body.decode())
        return None if body is None else replace(bound, entry=replace(bound.entry, body=body))

    def fill(self, key: str, found: Found) -> int | None:
        """Blob first, binding second: a crash between leaves garbage that a sweep collects."""
        digest = self._blobs.put(found.entry.body)
        bound = replace(found.entry, body=digest.encode())
        return self._bindings.fill(key, replace(found, entry=bound))

    def remove(self, keys: Iterable[str]) -> int:
        """Delete bindings; the blobs go when nobody else names them."""
        return self._bindings.remove(keys)

    def present(self, keys: Iterable[str]) -> list[str]:
        """Those of the keys that have a binding."""
        return self._bindings.present(keys)

    def collect(self, min_age_s: float) -> tuple[int, int]:
        """Delete blobs that nothing names: (blobs, bytes)."""
        referenced = {body.decode() for body in self._bindings.bodies()}
        return self._blobs.collect(referenced, min_age_s)
