"""A folder of this host as an origin: it is only ever read, and nothing outside it is."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from cachekeeper.core.keys import check_path
from cachekeeper.core.ports import Version
from cachekeeper.errors import ForbiddenPath, InvalidInput, OriginMissing, OriginUnavailable


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
        with _Errors(path):
            found = self._locate(path).stat()
        return Version(found.st_size, f"{found.st_mtime_ns:x}-{found.st_ino:x}")

    def read(self, path: str) -> bytes:
        """The content; raises as ``stat`` does."""
        with _Errors(path):
            # Not through the path again: the last part must not have become a link meanwhile.
            handle = os.open(self._locate(path), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            with os.fdopen(handle, "rb") as file:
                return file.read()

    def siblings(self, path: str) -> list[str]:
        """The regular files in the folder of ``path``, hidden ones left out."""
        parent, _, _ = check_path(path).rpartition("/")
        with _Errors(path), os.scandir(self._inside(self.folder / parent, path)) as found:
            names = [e.name for e in found if e.is_file(follow_symlinks=False)]
        shown = (name for name in names if not name.startswith("."))
        return sorted(f"{parent}/{name}" if parent else name for name in shown)

    def _locate(self, path: str) -> Path:
        real = self._inside(self.folder / check_path(path), path)
        if not stat.S_ISREG(real.stat().st_mode):
            raise ForbiddenPath("path", path, "a regular file")
        return real

    def _inside(self, path: Path, name: str) -> Path:
        real = path.resolve()
        if not real.is_relative_to(self.folder):
            raise ForbiddenPath("path", name, "a path that stays in the origin, links included")
        return real


class _Errors:
    """Turns the errors of the operating system into ours."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, FileNotFoundError | NotADirectoryError):
            raise OriginMissing(f"the origin has no {self._path}") from error
        if isinstance(error, OSError):
            raise OriginUnavailable(f"{self._path}: {error.strerror}") from error
