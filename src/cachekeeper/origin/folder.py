"""A folder of this host as an origin: it is only ever read, and nothing outside it is."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Event
from typing import BinaryIO

from cachekeeper.beneath import open_beneath
from cachekeeper.core.keys import check_path
from cachekeeper.core.ports.origins import Changed, Listed, Version
from cachekeeper.errors import ForbiddenPath, InvalidInput, OriginMissing, OriginUnavailable

_NO_SUCH_FILE = {errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP}


class FolderOrigin:
    """Files below one folder, links that lead out of it refused.

    Raises:
        InvalidInput: the folder is none.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise InvalidInput("origin", str(folder), "a folder that exists")
        self.folder = folder.resolve()

    def stat(self, path: str) -> Version:
        """Size and a token of modification time and inode.

        Raises:
            ForbiddenPath: it would leave the folder, or is no regular file.
            OriginMissing: there is no such file.
            OriginUnavailable: it can't be read just now.
        """
        with _Errors(self.folder, path):
            return _version(self._locate(path).stat())

    def read(self, path: str) -> bytes:
        """The content; raises as ``stat`` does."""
        with self.open(path) as file, _Errors(self.folder, path):
            return file.read()

    def open(self, path: str) -> BinaryIO:
        """The content, to be read and closed; raises as ``stat`` does, and an OSError meanwhile."""
        with _Errors(self.folder, path):
            # Not through the name: no part may have become a link since it was looked up.
            handle = open_beneath(self.folder, *self._locate(path).relative_to(self.folder).parts)
            file = os.fdopen(handle, "rb")
            try:
                _check_regular(os.fstat(handle), path)
            except ForbiddenPath:
                file.close()
                raise
            return file

    def list(self, folder: str) -> list[Listed]:
        """The regular files and the folders in a folder, hidden ones and links left out.

        Those whose names can be no path of ours are left out, too. Raises as ``stat`` does.
        """
        inside = check_path(folder, "folder") if folder else ""
        with (
            _Errors(self.folder, folder),
            os.scandir(self._inside(self.folder / inside, folder)) as entries,
        ):
            found = [_listed(inside, entry) for entry in entries if entry.name[0] != "."]
        return sorted(each for each in found if each is not None)

    def watch(self, stop: Event) -> Iterator[Sequence[Changed]]:
        """Batches of what is written, renamed or deleted, as the operating system says."""
        from cachekeeper.origin.folder_watch import changes  # producers have no watchfiles

        return changes(self.folder, stop)

    def _locate(self, path: str) -> Path:
        real = self._inside(self.folder / check_path(path), path)
        _check_regular(real.stat(), path)
        return real

    def _inside(self, path: Path, name: str) -> Path:
        # Not Path.resolve, which raises RuntimeError where links go round in circles.
        real = Path(os.path.realpath(path))
        if not real.is_relative_to(self.folder):
            raise ForbiddenPath("path", name, "a path that stays in the origin, links included")
        return real


def _check_regular(status: os.stat_result, path: str) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise ForbiddenPath("path", path, "a regular file")


def _listed(folder: str, entry: os.DirEntry[str]) -> Listed | None:
    path = f"{folder}/{entry.name}" if folder else entry.name
    with suppress(ForbiddenPath, FileNotFoundError):  # a name of broken UTF-8, say; or it went
        if entry.is_dir(follow_symlinks=False):
            return Listed(check_path(path), None)
        if entry.is_file(follow_symlinks=False):
            return Listed(check_path(path), _version(entry.stat(follow_symlinks=False)))
    return None


def _version(status: os.stat_result) -> Version:
    return Version(status.st_size, f"{status.st_mtime_ns:x}-{status.st_ino:x}")


class _Errors:
    """Turns the errors of the operating system into ours."""

    def __init__(self, folder: Path, path: str) -> None:
        self._folder, self._path = folder, path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError) and not self._folder.is_dir():
            raise OriginUnavailable(f"the origin's folder {self._folder} is away") from error
        if isinstance(error, OSError) and error.errno in _NO_SUCH_FILE:
            raise OriginMissing(f"the origin has no {self._path}") from error
        if isinstance(error, OSError):
            raise OriginUnavailable(f"{self._path}: {error.strerror}") from error
