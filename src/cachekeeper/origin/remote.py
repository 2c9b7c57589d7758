"""Files on a server as an origin, whatever it speaks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from threading import Event
from typing import BinaryIO, Protocol

from cachekeeper.core.keys import check_path
from cachekeeper.core.ports.origins import Changed, Listed, Version
from cachekeeper.errors import OriginUnavailable
from cachekeeper.origin.polling import changes
from cachekeeper.origin.streamed import Content, streamed


class Server(Protocol):
    """What a protocol has to know. Paths are well-formed; all raise as ``Origin`` does."""

    def stat(self, path: str) -> Version:
        """Size and change token; ForbiddenPath for a folder."""

    def get(self, path: str, start: int) -> Content:
        """A content from a position on, or from its beginning."""

    def check(self, path: str) -> Version:
        """What a content of now would be a version of: as ``Content.version`` says it."""

    def list(self, folder: str) -> list[Listed]:
        """What is in a folder, in any order, hidden things too."""


class RemoteOrigin:
    """Files below one root on a server.

    Where links on the server lead is for the server to say; ours never lead out of the root.
    """

    def __init__(self, name: str, server: Server, poll_s: float) -> None:
        self._name, self._server, self._poll_s = name, server, poll_s

    def stat(self, path: str) -> Version:
        """Size and change token.

        Raises:
            ForbiddenPath: it would leave the root, or is a folder.
            OriginMissing: there is no such file.
            OriginUnavailable: the server can't be asked, or refuses.
        """
        return self._server.stat(check_path(path))

    def read(self, path: str) -> bytes:
        """The content; raises as ``stat`` does."""
        with self.open(path) as file:
            try:
                return file.read()
            except OSError as error:
                raise OriginUnavailable(f"{path}: {error.strerror}") from error

    def open(self, path: str) -> BinaryIO:
        """The content, streamed as it is read; raises as ``stat`` does, and an OSError meanwhile.

        It ends in an OSError when the content changes before its last byte is read.
        """
        first = self._server.get(check_path(path), 0)
        return streamed(
            first,
            lambda start: self._server.get(path, start),
            lambda: self._server.check(path),
        )

    def list(self, folder: str) -> list[Listed]:
        """The files and folders in a folder, hidden ones left out.

        Raises as ``stat`` does, and NotListable.
        """
        found = self._server.list(check_path(folder, "folder") if folder else "")
        return sorted(each for each in found if not hidden(each.path))

    def watch(self, stop: Event) -> Iterator[Sequence[Changed]]:
        """Batches of what differs between one list of everything and the next (``polling``)."""
        return changes(self._name, self.list, stop, self._poll_s)


def hidden(path: str) -> bool:
    """Whether the last part of a path begins with a dot."""
    return path.rpartition("/")[2].startswith(".")
