"""A device follows its manifest: all of it once, then what changed since."""

from __future__ import annotations

from cachekeeper.core.following import Cursor, Page, Position, parse_cursor
from cachekeeper.core.keys import check_device
from cachekeeper.core.ports.devices import Following
from cachekeeper.errors import InvalidInput

PAGE_AT_MOST = 1000


class Follower:
    """Tells devices what has changed."""

    def __init__(self, following: Following) -> None:
        self._following = following

    def page(self, device: str, since: str | None, limit: int = PAGE_AT_MOST) -> Page:
        """What changed since a cursor; without one, or with one that is too old, all there is.

        Whoever asks goes on with the cursor of the page, at once if there is ``more``. About
        ``limit`` entries are told at a time.

        Raises:
            InvalidInput: the cursor was never given out, or the limit is not allowed.
        """
        if not 1 <= limit <= PAGE_AT_MOST:
            raise InvalidInput("limit", limit, f"1 to {PAGE_AT_MOST}")
        cursor = parse_cursor(since) if since is not None else None
        check_device(device)
        if cursor is None:
            return self._listed(device, None, 0, limit)
        if cursor.scan is not None:
            return self._listed(device, cursor.position, cursor.scan, limit)
        found = self._following.changes(device, cursor.position, limit)
        if found is None:
            return self._listed(device, None, 0, limit)
        return Page(False, found.rows, found.gone, Cursor(found.reached), found.more)

    def _listed(self, device: str, begun: Position | None, scan: int, limit: int) -> Page:
        found = self._following.listed(device, scan, limit)
        # What changes while the pages are read is told from where the first one was.
        cursor = Cursor(begun or found.at, found.scan or None)
        return Page(True, found.rows, [], cursor, more=bool(found.scan))
