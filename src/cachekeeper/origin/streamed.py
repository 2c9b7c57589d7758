"""A content on a server as a file: nothing is kept, and no two versions become one."""

from __future__ import annotations

import errno
import io
from collections.abc import Callable
from typing import TYPE_CHECKING, BinaryIO, Final, Protocol

from cachekeeper.core.ports.origins import Version
from cachekeeper.errors import CachekeeperError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

SKIP: Final = 256 * 1024  # nearer than this is read over rather than asked for anew
PIECE: Final = 64 * 1024


class Content(Protocol):
    """A content from a position on, while it comes."""

    @property
    def version(self) -> Version:
        """What it is a content of."""

    @property
    def start(self) -> int:
        """The position of its first byte: a server may know no ranges, and begin at 0."""

    def read(self, size: int) -> bytes:
        """Up to ``size`` bytes; none at the end. Raises OriginUnavailable."""

    def close(self) -> None:
        """Let the server know."""


class Streamed(io.RawIOBase):
    """Reads as it is read: sequentially over one answer, and after a seek over another one.

    Each answer has to be of the version of the first, and before the last byte is handed out the
    server is asked whether that is still the version: what changed meanwhile ends in an OSError
    and never in a whole file.
    """

    def __init__(
        self, first: Content, again: Callable[[int], Content], check: Callable[[], Version]
    ) -> None:
        super().__init__()
        self.version = first.version
        self._content: Content | None = first
        self._again, self._check = again, check
        self._position, self._at = 0, first.start  # where the reader is, where the answer is

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is; nothing is asked for before something is read."""
        return True

    def tell(self) -> int:
        """Where the reader is."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """As of any file."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.version.size}
        if base[whence] + offset < 0:
            raise OSError(errno.EINVAL, "a position before the beginning")
        self._position = base[whence] + offset
        return self._position

    def readinto(self, buffer: WriteableBuffer) -> int:
        """The next bytes. Raises an OSError when it is cut short, or is another version by now."""
        into = memoryview(buffer).cast("B")
        wanted = min(len(into), PIECE, self.version.size - self._position)
        if wanted <= 0:
            return 0
        try:
            chunk = self._read(wanted)
        except CachekeeperError as error:
            self._let_go()
            raise OSError(errno.EIO, str(error)) from error
        into[: len(chunk)] = chunk
        self._position += len(chunk)
        return len(chunk)

    def close(self) -> None:
        """Also closes what is under way."""
        self._let_go()
        super().close()

    def _read(self, wanted: int) -> bytes:
        content = self._at_position()
        chunk = content.read(wanted)
        self._at += len(chunk)
        if not chunk:
            raise OSError(errno.EIO, "it is shorter than the origin said")
        if self._at == self.version.size:
            if content.read(1):
                raise OSError(errno.EIO, "it is longer than the origin said")
            self._let_go()
            if self._check() != self.version:
                raise OSError(errno.ESTALE, "it changed while it was read")
        return chunk

    def _at_position(self) -> Content:
        """An answer whose next byte is the reader's."""
        if self._content is None or not 0 <= self._position - self._at <= SKIP:
            self._let_go()
            self._content = self._again(self._position)
            self._at = self._content.start
            if self._content.version != self.version or self._at > self._position:
                raise OSError(errno.ESTALE, "it changed while it was read")
        while self._at < self._position:
            chunk = self._content.read(min(PIECE, self._position - self._at))
            if not chunk:
                raise OSError(errno.EIO, "it is shorter than the origin said")
            self._at += len(chunk)
        return self._content

    def _let_go(self) -> None:
        content, self._content = self._content, None
        if content is not None:
            content.close()


def streamed(
    first: Content, again: Callable[[int], Content], check: Callable[[], Version]
) -> BinaryIO:
    """A content as a file, with a small buffer."""
    return io.BufferedReader(Streamed(first, again, check), PIECE)
