"""What a device is told of its manifest, in pages of all of it or as changes since a position."""

from __future__ import annotations

from typing import Any

from cachekeeper.core.following import Changes, Listed, Position, Row
from cachekeeper.store.redis.connection import Arg, Connection
from cachekeeper.store.redis.devices import unpacked

MARKS_AT_MOST = 5000  # that one script looks through


class RedisFollowing:
    """The manifests of devices, as those follow them."""

    def __init__(self, connection: Connection) -> None:
        self._c = connection

    def listed(self, device: str, scan: int, count: int) -> Listed:
        """A page of about ``count`` entries; from the first one on, changes are noted."""
        incarnation, epoch, number, next_scan, rows = self._run("listing", device, [scan, count])
        return Listed(
            rows=[_row(row) for row in rows],
            at=Position(number, incarnation, epoch),
            scan=int(next_scan),
        )

    def changes(self, device: str, since: Position, count: int) -> Changes | None:
        """Up to ``count`` changes, and what became stale; None when all has to be listed."""
        args: list[Arg] = [since.number, since.incarnation, since.epoch, count, MARKS_AT_MOST]
        found = self._run("changes", device, args)
        if not found:
            return None
        epoch, number, more, rows = found
        return Changes(
            rows=[_row(row) for row in rows if row[1]],
            gone=[row[0].decode() for row in rows if not row[1]],
            reached=Position(number, since.incarnation, epoch),
            more=bool(more),
        )

    def row(self, device: str, path: str) -> Row | None:
        """One entry, None when the device does not hold the path."""
        (row,) = self._run("entry", device, [path])
        return _row(row) if row[1] else None

    def _run(self, name: str, device: str, args: list[Arg]) -> Any:
        layout = self._c.layout
        keys = [
            layout.ledger(device),
            layout.manifest(device),
            layout.pins(device),
            layout.clock,
            layout.marks,
            layout.changes(device),
        ]
        return self._c.run(f"device_{name}", keys, args)


def _row(raw: list[Any]) -> Row:
    path, entry, stale, pinned = raw
    held = unpacked(entry)
    return Row(
        path=path.decode(),
        sha256=held.sha256,
        size=held.size,
        filled=held.filled,
        expires=held.expires,
        stale=bool(stale),
        pinned=bool(pinned),
    )
