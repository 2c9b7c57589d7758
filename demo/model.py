"""What the morning caches: file -> thumbnail -> album page, each derived from the one before.

Nothing here says so in so many words: the loaders read through the cache, and what a loader
reads, its value depends on.
"""

from __future__ import annotations

import hashlib
import json
import time

from cachekeeper import Cache
from cachekeeper.core.keys import parent_of
from demo.pictures import thumbnail

PAGE = 24  # thumbnails on an album page
TOP = "."  # the album of the files that lie in no folder


def digest(body: bytes) -> str:
    """What two contents are told apart by."""
    return hashlib.sha256(body).hexdigest()


def album_of(path: str) -> str:
    """The album that a file belongs to."""
    return parent_of(path)


def page_of(path: str, names: list[str]) -> int:
    """The number of the album page that shows a file."""
    return names.index(path) // PAGE


class Library:
    """The namespaces of a photo service over one cache."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self.files = cache.files
        brief = cache.settings.ttl_min_s
        self.folders = cache.namespace("folder", ttl_s=brief, serializer="json")
        # Nobody asks for one again: it is left to the expiry sweep.
        self.sittings = cache.namespace("sitting", ttl_s=brief, serializer="json")
        self.thumbs = cache.namespace("thumb")
        self.albums = cache.namespace("album", serializer="json")
        self.folders.loader(self._list)
        self.sittings.loader(lambda _: {"since": time.time()})
        self.thumbs.loader(self._draw)
        self.albums.loader(self._page)

    def names(self, album: str) -> list[str]:
        """The paths of an album."""
        found: list[str] = self.folders.get(album)
        return found

    def page(self, album: str, number: int) -> dict[str, str]:
        """One page of an album: the digest of each thumbnail, by path."""
        found: dict[str, str] = self.albums.get(f"{number}/{album}")
        return found

    def sit_down(self, device: str, number: int) -> None:
        """Keep for a short while that somebody has begun to look at pictures."""
        self.sittings.get(f"{device}/{number}")

    def _list(self, album: str) -> list[str]:
        assert self._cache.origin is not None
        listed = self._cache.origin.list("" if album == TOP else album)
        return [each.path for each in listed if each.version is not None]

    def _draw(self, path: str) -> bytes:
        body: bytes = self.files.get(path)
        small = thumbnail(body)
        if small is not None:
            return small
        card = {"name": path, "starts": body[:120].decode(errors="replace"), "is": digest(body)}
        return json.dumps(card).encode()

    def _page(self, rest: str) -> dict[str, str]:
        number, _, album = rest.partition("/")
        start = int(number) * PAGE
        shown = self.names(album)[start : start + PAGE]
        return {path: digest(self.thumbs.get(path)) for path in shown}
