"""2. What is made from what.

A thumbnail is made from a photo, an album page from thumbnails. When the photo changes, all of
them are wrong. Nobody has to write that down: *a loader that reads through the cache has
declared what its value depends on*.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from cachekeeper import Cache
from cachekeeper.client.namespace import Namespace

WAIT_S = 10.0


@dataclass
class Gallery:
    """A service that makes thumbnails and album pages, and counts what it made."""

    cache: Cache
    made: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.thumbs: Namespace = self.cache.namespace("thumb")
        self.albums: Namespace = self.cache.namespace("album")
        self.thumbs.loader(self.make_thumb)
        self.albums.loader(self.make_album)

    def make_thumb(self, path: str) -> bytes:
        """Small, and made from a file of the origin."""
        self.made.append(f"thumb {path}")
        photo: bytes = self.cache.files.get(path)
        return b"small " + photo

    def make_album(self, folder: str) -> bytes:
        """A page of thumbnails."""
        self.made.append(f"album {folder}")
        photos = self.cache.origin.list(folder) if self.cache.origin else []
        return b" | ".join(self.thumbs.get(photo.path) for photo in photos)


@pytest.fixture
def gallery(cache: Cache) -> Gallery:
    return Gallery(cache)


def test_a_loader_that_reads_has_declared_a_dependency(gallery: Gallery) -> None:
    """One read of the page makes the page, its thumbnails, and reads the photos."""
    page = gallery.albums.get("beach")
    assert page == b"small IMG_1 as taken | small IMG_10 as taken | small IMG_2 as taken"
    assert len(gallery.made) == 4
    assert gallery.albums.get("beach") == page
    assert len(gallery.made) == 4  # all of it is held now

    why = gallery.cache.why("thumb:beach/IMG_1.jpg")
    assert why.derived_from == ["file:beach/IMG_1.jpg"]
    assert why.dependents == ["album:beach"]


def test_an_edit_reaches_all_that_was_made_from_the_file(gallery: Gallery, library: Path) -> None:
    """Whoever changes a file says so. Its thumbnail and the page are made again, no more."""
    gallery.albums.get("beach")
    gallery.made.clear()

    (library / "beach" / "IMG_2.jpg").write_text("IMG_2 in black and white")
    gallery.cache.invalidate("file:beach/IMG_2.jpg", consistency="strict").wait(WAIT_S)

    assert b"small IMG_2 in black and white" in gallery.albums.get("beach")
    assert gallery.made == ["album beach", "thumb beach/IMG_2.jpg"]


def test_a_value_says_itself_what_it_was_made_from(gallery: Gallery) -> None:
    """Each value carries a *stamp*: the moment it was made at, and everything it came from.

    The moment is a reading of a counter that every invalidation raises. A value is fresh as long
    as none of its sources was invalidated after it, and every read checks that. So nothing has to
    be found and deleted in time for a read to be right.
    """
    gallery.albums.get("beach")
    stamp = gallery.albums.entry("beach").stamp
    assert "k:thumb:beach/IMG_1.jpg" in stamp.sources
    assert "k:file:beach/IMG_1.jpg" in stamp.sources  # through the thumbnail
    assert stamp.as_of == gallery.cache.stores.marks.now()


def test_a_value_made_from_what_changed_meanwhile_is_not_kept(
    gallery: Gallery, library: Path
) -> None:
    """The race that plain caches lose.

    A slow loader has read the old file, the file changes, the cache is told, and only then the
    loader returns. Its value is given to whoever asked before the change, and it is not stored.
    """
    has_read, may_go_on = threading.Event(), threading.Event()
    slow = gallery.cache.namespace("slow")

    @slow.loader
    def enlarge(path: str) -> bytes:
        content: bytes = gallery.cache.files.get(path)
        has_read.set()
        assert may_go_on.wait(WAIT_S)
        return b"large " + content

    asked_before: list[bytes] = []
    reader = threading.Thread(target=lambda: asked_before.append(slow.get("beach/IMG_1.jpg")))
    reader.start()
    assert has_read.wait(WAIT_S)
    (library / "beach" / "IMG_1.jpg").write_text("IMG_1 cropped")
    gallery.cache.invalidate("file:beach/IMG_1.jpg", consistency="strict").wait(WAIT_S)
    may_go_on.set()
    reader.join(WAIT_S)

    assert asked_before == [b"large IMG_1 as taken"]
    assert slow.get("beach/IMG_1.jpg") == b"large IMG_1 cropped"


def test_an_invalidation_can_stop_at_the_value_it_names(gallery: Gallery) -> None:
    """``cascade=False``: make this one again, and trust what was made from it."""
    gallery.albums.get("beach")
    gallery.made.clear()
    gallery.cache.invalidate("thumb:beach/IMG_1.jpg", cascade=False, consistency="strict").wait(
        WAIT_S
    )
    gallery.albums.get("beach")
    assert gallery.made == []
    gallery.thumbs.get("beach/IMG_1.jpg")
    assert gallery.made == ["thumb beach/IMG_1.jpg"]
