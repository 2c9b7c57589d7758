"""Where the files of devices come from: what the tiers hold, else the origin, as a stream."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import BinaryIO, Final

from cachekeeper.client.flights import Flights
from cachekeeper.core.device import Content, Offer
from cachekeeper.core.keys import file_key
from cachekeeper.core.ports.origins import Origin
from cachekeeper.core.stamps import Entry, stamp_of_tags
from cachekeeper.errors import (
    Busy,
    CacheUnavailable,
    ConfigurationError,
    OriginUnavailable,
)
from cachekeeper.store.blobs import Blobs
from cachekeeper.store.disk import DiskTier
from cachekeeper.store.redis.marks import RedisMarks
from cachekeeper.store.redis.values import RedisTier

CHUNK: Final = 1024 * 1024
TRIES: Final = 2  # of reading a file that changes meanwhile


class FileSource:
    """The ``file`` namespace for devices.

    Files of up to ``small`` bytes are read as any value, so that a site's hosts find them in
    Redis. Larger ones are streamed into the blobs, and the disk tier's binding of their key says
    so to other devices and to readers of the key.
    """

    def __init__(
        self,
        *,
        origin: Origin | None,
        load: Callable[[str], Entry],
        redis: RedisTier,
        disk: DiskTier,
        blobs: Blobs,
        marks: RedisMarks,
        small: int,
        ttl_s: float,
    ) -> None:
        self._given, self._load, self._small, self._ttl_s = origin, load, small, ttl_s
        self._redis, self._disk, self._blobs, self._marks = redis, disk, blobs, marks
        self._flights = Flights()

    def offer(self, path: str) -> Offer:
        """What there is: in the tiers, else in the origin.

        Raises:
            ConfigurationError: there is no origin.
            OriginMissing, OriginUnavailable, InvalidInput: as the origin says.
        """
        key = file_key(path)
        bound = self._disk.bound(key)
        if bound is not None:
            return Offer(bound.size, content=bound)
        found = self._redis.read(key)
        if found is not None:
            return Offer(found.entry.size, entry=found.entry)
        size = self._origin.stat(path).size
        if size > self._small:
            return Offer(size)
        entry = self._load(path)
        return Offer(entry.size, entry=entry)

    def fetch(self, path: str, offer: Offer, alive: Callable[[], None]) -> Content:
        """Have it among the blobs of this host, of just the size that was offered.

        ``alive`` is called with each chunk that comes, and may raise to end it.

        Raises:
            Busy: it is not what was offered any more.
            DiskFull: the disk has no room for it.
            OriginMissing, OriginUnavailable: as the origin says, or it was cut short.
        """
        if offer.content is not None:
            return offer.content
        if offer.entry is not None:
            digest = self._blobs.put(offer.entry.body)
            return Content(digest, offer.size, offer.entry.stamp)
        key = file_key(path)
        with self._flights.only_one(key):
            content = self._disk.bound(key) or self._streamed(path, offer.size, alive)
        if content.size != offer.size:
            raise Busy(f"{path}: it changed while it was fetched")
        return content

    def open(self, path: str, offer: Offer) -> BinaryIO:
        """The content, kept nowhere; raises as ``offer``."""
        if offer.entry is not None:
            return io.BytesIO(offer.entry.body)
        held = self._blobs.open(offer.content.sha256) if offer.content else None
        return held or self._origin.open(path)

    @property
    def _origin(self) -> Origin:
        if self._given is None:
            raise ConfigurationError("origin: none is set (CACHEKEEPER_ORIGIN)")
        return self._given

    def _streamed(self, path: str, size: int, alive: Callable[[], None]) -> Content:
        for _ in range(TRIES):
            as_of, before = self._marks.now(), self._origin.stat(path)
            if before.size != size:
                raise Busy(f"{path}: it changed before it was fetched")
            digest = self._blobs.receive(self._chunks(path, size, alive), size)
            if self._origin.stat(path) == before:
                break
        else:
            raise OriginUnavailable(f"{path}: it changes while it is read")
        content = Content(digest, size, stamp_of_tags((), as_of))
        now = time.time()
        with suppress(CacheUnavailable):  # lost to the tiers, not to the reader
            self._disk.bind(file_key(path), content, now, now + self._ttl_s)
        return content

    def _chunks(self, path: str, size: int, alive: Callable[[], None]) -> Iterator[bytes]:
        """The content in pieces, and not a byte more or less than the origin said."""
        left = size
        with self._origin.open(path) as file:
            while chunk := _read(file, path):
                left -= len(chunk)
                if left < 0:
                    break
                yield chunk
                alive()
        if left:
            more = "more" if left < 0 else f"{size - left}"
            raise OriginUnavailable(f"{path}: the origin said {size} bytes and gave {more}")


def _read(file: BinaryIO, path: str) -> bytes:
    try:
        return file.read(CHUNK)
    except OSError as error:
        raise OriginUnavailable(f"{path}: {error.strerror}") from error
