"""What a device's read gives: an open file, however large, and what is known of it."""

from __future__ import annotations

import io
import weakref
from typing import BinaryIO, Final

from cachekeeper.errors import InvalidInput

#: More than this is not held in memory at once; such files are read by ``Read.open``.
BODY_AT_MOST: Final = 64 * 1024 * 1024


class Read:
    """A file that a device read.

    ``size`` in bytes. ``hit``: the device had it, fresh. ``kept``: it has it now. ``stale``: the
    origin is away and this is the last good copy; it is asked for again at the next read.
    ``refused`` says why it is not kept.

    Its file stays readable whatever becomes of the device's copy, until it is closed or forgotten.
    """

    __slots__ = (
        "__weakref__",
        "_body",
        "_close",
        "_file",
        "hit",
        "kept",
        "refused",
        "size",
        "stale",
    )

    def __init__(
        self,
        file: BinaryIO,
        size: int,
        *,
        hit: bool = False,
        kept: bool = True,
        stale: bool = False,
        refused: str = "",
    ) -> None:
        self.size, self.hit, self.kept = size, hit, kept
        self.stale, self.refused = stale, refused
        self._file: BinaryIO | None = file
        self._body: bytes | None = None
        self._close = weakref.finalize(self, file.close)

    @property
    def body(self) -> bytes:
        """The whole content, in memory.

        Raises:
            InvalidInput: it is larger than 64 MiB, or was opened.
        """
        if self._body is None:
            if self.size > BODY_AT_MOST:
                raise InvalidInput("body", self.size, f"at most {BODY_AT_MOST} bytes; else open()")
            with self.open() as file:
                self._body = file.read()
        return self._body

    def open(self) -> BinaryIO:
        """The content as a file, once; the caller closes it.

        Raises:
            InvalidInput: it was opened before.
        """
        if self._body is not None:
            return io.BytesIO(self._body)
        if self._file is None:
            raise InvalidInput("open", "a second time", "once, unless `body` was asked for before")
        file, self._file = self._file, None
        self._close.detach()
        return file

    def __repr__(self) -> str:
        told = f"size={self.size}, hit={self.hit}, kept={self.kept}, stale={self.stale}"
        return f"Read({told}, refused={self.refused!r})"
