"""Files of a web server: HEAD and GET, and its pages of folders where it has some."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, suppress
from typing import Final

from cachekeeper.core.ports.origins import Listed, Version
from cachekeeper.errors import ForbiddenPath, NotListable, OriginMissing
from cachekeeper.origin.index_pages import children
from cachekeeper.origin.remote import hidden
from cachekeeper.origin.streamed import Content
from cachekeeper.origin.wire import Wire

MOST: Final = 10_000  # files in a folder: each takes a request of its own


class WebServer:
    """A server that speaks HTTP and no more."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def stat(self, path: str) -> Version:
        """What a HEAD tells."""
        return self._wire.stat(path)

    def get(self, path: str, start: int) -> Content:
        """By GET, with a range where it does not begin at 0."""
        return self._wire.get(path, start)

    def check(self, path: str) -> Version:
        """The same as ``stat``."""
        return self._wire.stat(path)

    def list(self, folder: str) -> list[Listed]:
        """What the server's page of a folder links to, each file asked for its version.

        Raises NotListable if there is no such page: a page of a site is no list.
        """
        try:
            found = self._linked(folder)
        except OriginMissing:
            if folder and self._pages():
                raise
            raise NotListable(f"{self._wire.name} has no pages of folders") from None
        return list(self._versions(found))

    def _pages(self) -> bool:
        """Whether the root has a page: only then is a folder without one no folder."""
        try:
            self._linked("")
        except (OriginMissing, NotListable):
            return False
        return True

    def _linked(self, folder: str) -> dict[str, bool]:
        wire = self._wire
        with closing(wire.ask("GET", wire.root.target(folder, folder=True))) as answer:
            kind = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
            page = answer.whole() if kind == "text/html" else b""
        found = children(wire.root, folder, page.decode("utf-8", errors="replace"))
        if found is None or len(found) > MOST:
            why = "is no page of a folder" if found is None else f"has more than {MOST} links"
            raise NotListable(f"{wire.name}: {folder or wire.root} {why}")
        return found

    def _versions(self, found: dict[str, bool]) -> Iterator[Listed]:
        for path, is_folder in found.items():
            if is_folder:
                yield Listed(path, None)
            elif not hidden(path):
                with suppress(OriginMissing, ForbiddenPath):  # a link to what is no file
                    yield Listed(path, self._wire.stat(path))
