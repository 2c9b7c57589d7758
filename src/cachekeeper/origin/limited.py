"""How much is asked of an origin: at a time, in bytes a second, and while it fails nothing.

The limits are those of one process: with four processes a deployment asks four times as much at
most. A limit over all would take a round trip to the server for every piece that is read, and a
killed process would keep its share for a while.
"""

from __future__ import annotations

import errno
import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import BoundedSemaphore, Event
from typing import TYPE_CHECKING, BinaryIO

from cachekeeper.core.ports.origins import Changed, Listed, Origin, Version
from cachekeeper.errors import (
    NotListable,
    OriginMissing,
    OriginUnavailable,
    PermanentError,
)
from cachekeeper.origin.breaker import Breaker
from cachekeeper.origin.polling import changes
from cachekeeper.origin.rate import ByteRate

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

PIECE = 64 * 1024


class LimitedOrigin:
    """Another origin within limits. An open file counts as a request until it is closed.

    With ``poll_s`` it is watched by lists within the same limits, else as it watches itself.
    """

    def __init__(
        self,
        name: str,
        origin: Origin,
        *,
        concurrency: int,
        wait_s: float,
        breaker: Breaker,
        rate: ByteRate | None = None,
        poll_s: float | None = None,
    ) -> None:
        self._name, self._origin, self._breaker, self._rate = name, origin, breaker, rate
        self._slots, self._wait_s = BoundedSemaphore(concurrency), wait_s
        self._full = f"{name}: {concurrency} requests are under way, and none ended in {wait_s:g} s"
        self._poll_s = poll_s

    def stat(self, path: str) -> Version:
        """As the origin's; OriginUnavailable also for want of a turn."""
        with self._turn():
            return self._origin.stat(path)

    def read(self, path: str) -> bytes:
        """As the origin's, at the rate."""
        with self.open(path) as file:
            try:
                return file.read()
            except OSError as error:
                raise OriginUnavailable(f"{path}: {error.strerror}") from error

    def open(self, path: str) -> BinaryIO:
        """As the origin's, at the rate; its turn ends when it is closed."""
        self._take()
        try:
            with self._asked():
                file = self._origin.open(path)
        except BaseException:
            self._slots.release()
            raise
        return io.BufferedReader(
            _Metered(file, self._came, self._broke, self._slots.release), PIECE
        )

    def list(self, folder: str) -> list[Listed]:
        """As the origin's."""
        with self._turn():
            return self._origin.list(folder)

    def watch(self, stop: Event) -> Iterator[Sequence[Changed]]:
        """As the origin's."""
        if self._poll_s is None:
            return self._origin.watch(stop)
        return changes(self._name, self.list, stop, self._poll_s)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        self._take()
        try:
            with self._asked():
                yield
        finally:
            self._slots.release()

    def _take(self) -> None:
        if not self._slots.acquire(timeout=self._wait_s):
            raise OriginUnavailable(self._full)

    @contextmanager
    def _asked(self) -> Iterator[None]:
        probing = self._breaker.admit()
        try:
            yield
        except NotListable:
            self._breaker.succeeded()  # it answers
            raise
        except OriginUnavailable as error:
            self._breaker.failed(str(error))
            raise
        except PermanentError as error:
            if isinstance(error, OriginMissing):
                self._breaker.succeeded()
            else:
                self._breaker.unsaid(probing=probing)  # it may not have been asked at all
            raise
        except BaseException:
            self._breaker.unsaid(probing=probing)
            raise
        self._breaker.succeeded()

    def _came(self, size: int) -> None:
        if self._rate is not None:
            self._rate.took(size)

    def _broke(self, error: OSError) -> None:
        if error.errno != errno.ESTALE:  # that is an edit, and no fault of the origin's
            self._breaker.failed(error.strerror or "a content broke off")


class _Metered(io.RawIOBase):
    """A file whose bytes are counted as they come, and whose turn ends with it."""

    def __init__(
        self,
        file: BinaryIO,
        came: Callable[[int], None],
        broke: Callable[[OSError], None],
        ended: Callable[[], None],
    ) -> None:
        super().__init__()
        self._file, self._came, self._broke, self._ended = file, came, broke, ended

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._file.tell()

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def readinto(self, buffer: WriteableBuffer) -> int:
        into = memoryview(buffer).cast("B")
        try:
            chunk = self._file.read(min(len(into), PIECE))
        except OSError as error:
            self._broke(error)
            raise
        into[: len(chunk)] = chunk
        self._came(len(chunk))
        return len(chunk)

    def close(self) -> None:
        if not self.closed:
            try:
                self._file.close()
            finally:
                self._ended()
        super().close()
