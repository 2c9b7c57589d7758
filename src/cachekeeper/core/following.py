"""How far a device has followed its manifest: the cursor that it keeps and hands back.

To a device it is a text without meaning. It is no secret and proves nothing: whoever changes it
gets more or less of the manifest of the same device.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from cachekeeper.errors import InvalidInput

_NUMBER = r"(\d{1,20})"
_CURSOR: Final = re.compile(rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}(?:\.{_NUMBER})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Position:
    """Everything up to here is known.

    Attributes:
        number: of the last change of the manifest.
        incarnation: of the clock of invalidations.
        epoch: likewise; marks that came later may have made entries stale.
    """

    number: int
    incarnation: int
    epoch: int


@dataclass(frozen=True, slots=True)
class Cursor:
    """A position, and within a listing where its next page begins."""

    position: Position
    scan: int | None = None

    def __str__(self) -> str:
        at = f"{self.position.number}.{self.position.incarnation}.{self.position.epoch}"
        return at if self.scan is None else f"{at}.{self.scan}"


def parse_cursor(text: str) -> Cursor:
    """The opposite of ``str(cursor)``. Raises InvalidInput."""
    found = _CURSOR.fullmatch(text)
    if found is None:
        raise InvalidInput("since", text, "a cursor that was given out before, or none")
    number, incarnation, epoch, scan = found.groups()
    position = Position(int(number), int(incarnation), int(epoch))
    # HSCAN's own cursors have 64 bits, and the server takes no others.
    return Cursor(position, int(scan) % 2**64 if scan else None)


@dataclass(frozen=True, slots=True)
class Row:
    """An entry of a manifest as its device is told it; times in seconds since 1970."""

    path: str
    sha256: str
    size: int
    filled: float
    expires: float
    stale: bool
    pinned: bool


@dataclass(frozen=True, slots=True)
class Changes:
    """What changed since a position."""

    rows: list[Row]
    gone: list[str]
    reached: Position
    more: bool


@dataclass(frozen=True, slots=True)
class Listed:
    """A page of all entries; ``scan`` says where the next one begins, 0 that there is none."""

    rows: list[Row]
    at: Position
    scan: int


@dataclass(frozen=True, slots=True)
class Page:
    """What a device is told at once.

    ``full``: a page of all that there is; what no page of a listing named is gone.
    """

    full: bool
    entries: list[Row]
    gone: list[str]
    cursor: Cursor
    more: bool
