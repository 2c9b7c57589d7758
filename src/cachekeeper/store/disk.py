"""The disk tier: blobs on this host, found through stamped bindings in Redis.

The blob can't be stale, since it is named by its content; the binding of a key to it is a
stamped record like any other, checked at every read.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import replace

from cachekeeper.core.device import Content
from cachekeeper.core.looked import Looked
from cachekeeper.core.ports.tiers import NO_INPUTS, Inputs
from cachekeeper.core.preview import Weight
from cachekeeper.core.stamps import Entry, Found
from cachekeeper.store.blobs import Blobs
from cachekeeper.store.redis.connection import Connection
from cachekeeper.store.redis.values import Records

DIGEST_BYTES = 32  # SHA-256: the whole body of a binding

log = logging.getLogger(__name__)


class DiskTier:
    """Values on the disk of this host."""

    name = "disk"

    def __init__(
        self,
        blobs: Blobs,
        connection: Connection,
        wants: Callable[[str, int], bool],
        *,
        cascades: bool = False,
    ) -> None:
        layout = connection.layout
        self._bindings = Records(
            connection, layout.binding, layout.value, cascades=cascades, listed=layout.bound
        )
        self._blobs, self._wants = blobs, wants

    def read(self, key: str) -> Found | None:
        """The value, if its binding is fresh and its blob is on this host."""
        bound = self._bindings.read(key)
        if bound is None:
            return None
        body = self._blobs.get(bound.entry.body.hex())
        return None if body is None else bound._replace(entry=bound.entry._replace(body=body))

    def takes(self, key: str, size: int) -> bool:
        """Whether a key's value of a size belongs on disk."""
        return self._wants(key, size)

    def fill(self, key: str, found: Found, inputs: Inputs | None = NO_INPUTS) -> Found | None:
        """Blob first, binding second: a crash between leaves garbage that a sweep collects."""
        if not self.takes(key, found.entry.size):
            return None
        try:
            digest = self._blobs.put(found.entry.body)
        except OSError as error:  # the value is there all the same, and other tiers may take it
            log.warning("blob_not_stored key=%s: %s", key, error)
            return found
        bound = found._replace(entry=found.entry._replace(body=bytes.fromhex(digest)))
        stored = self._bindings.fill(key, bound, inputs)
        if stored is None:
            return None
        return stored._replace(entry=stored.entry._replace(body=found.entry.body))

    def bound(self, key: str) -> Content | None:
        """Which content a key's value is, if its binding is fresh and its blob is on this host."""
        found = self._bindings.read(key)
        if found is None:
            return None
        digest = found.entry.body.hex()
        size = self._blobs.size(digest)
        return None if size is None else Content(digest, size, found.entry.stamp)

    def bind(self, key: str, content: Content, filled: float, expires: float) -> bool:
        """Make a content that is among the blobs the value of a key; False when it is stale."""
        entry = Entry(bytes.fromhex(content.sha256), content.stamp, filled, expires)
        return self._bindings.fill(key, Found(entry, content.stamp.as_of)) is not None

    def remove(self, keys: Iterable[str]) -> int:
        """Delete bindings; the blobs go when nobody else names them."""
        return self._bindings.remove(keys)

    def present(self, keys: Iterable[str]) -> list[str]:
        """Those of the keys that have a binding."""
        return self._bindings.present(keys)

    def look(self, key: str) -> Looked | None:
        """What it holds under a key, fresh or not."""
        bound = self._bindings.look_at(key, DIGEST_BYTES)
        if bound is None:
            return None
        looked, digest = bound
        size = self._blobs.size(digest.hex())
        stale = looked.stale or ("" if size is not None else "its content is not on this host")
        return replace(looked, size=size or 0, stale=stale)

    def weigh(self, keys: Iterable[str]) -> Weight:
        """What the keys' bindings name of the blobs on this host, each blob once."""
        bound = [end.hex() for end in self._bindings.last_bytes(keys, DIGEST_BYTES) if end]
        sizes = [self._blobs.size(digest) or 0 for digest in set(bound)]
        return Weight(len(bound), sum(sizes))

    def collect(self, min_age_s: float) -> tuple[int, int]:
        """Delete blobs that nothing names: (blobs, bytes)."""
        return self._blobs.collect(self.named(), min_age_s)

    def named(self) -> set[str]:
        """The contents that bindings name (a scan: for maintenance)."""
        return {body.hex() for body in self._bindings.bodies()}
