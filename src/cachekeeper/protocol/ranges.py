"""The header ``Range`` (RFC 9110, 14.2): one range of bytes, which is what resuming takes.

Several ranges at once are refused, as the RFC allows: their answers cost a server much for a
header that costs a client nothing.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Final, NamedTuple

from cachekeeper.protocol.problems import Problem

_ONE: Final = re.compile(r"bytes=(\d{0,19})-(\d{0,19})", re.ASCII)
_ALLOWED: Final = "one range of bytes: bytes=FIRST-LAST, bytes=FIRST- or bytes=-LENGTH"


class Range(NamedTuple):
    """Bytes from ``start`` up to and without ``stop``."""

    start: int
    stop: int

    def of(self, size: int) -> str:
        """The header ``Content-Range``."""
        return f"bytes {self.start}-{self.stop - 1}/{size}"


def wanted(header: str | None, size: int) -> Range | None:
    """What part of ``size`` bytes is wanted; None for all of them.

    Raises:
        Problem: 416, the range is malformed, not one, or has no byte of the content.
    """
    if header is None or not header.strip().lower().startswith("bytes"):
        return None  # another unit is to be ignored
    found = _ONE.fullmatch(header.strip().lower())
    if found is None or found.groups() == ("", ""):
        raise _unsatisfiable(header, size)
    first, last = found.groups()
    if not first:
        start, stop = max(0, size - int(last)), size
    else:
        start, stop = int(first), min(size, int(last) + 1) if last else size
    if start >= stop:
        raise _unsatisfiable(header, size)
    return Range(start, stop)


def _unsatisfiable(header: str, size: int) -> Problem:
    return Problem(
        HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
        f"Range: {header[:80]!r} of {size} bytes",
        {"Content-Range": f"bytes */{size}"},
        field="Range",
        allowed=_ALLOWED,
    )
