"""Immutable blobs on the disk of a host, named by the SHA-256 of their content.

A blob is written to a temporary name, flushed and renamed, so that a name never stands for
half a content. A device's copy of a file is a hard link to the blob: one content takes its
bytes once, whoever holds it, and the link count says whether anybody does.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
import time
from collections.abc import Container, Iterator
from contextlib import suppress
from pathlib import Path

from cachekeeper.errors import InvalidInput

_DIGEST = re.compile(r"[0-9a-f]{64}")


def aside(target: Path) -> Path:
    """The name under which a link waits to replace ``target``."""
    return target.with_name(f".{target.name}")


class Blobs:
    """The blob folder of a host."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._incoming = folder / "incoming"
        for made in (folder, self._incoming):
            made.mkdir(mode=0o700, parents=True, exist_ok=True)

    def put(self, body: bytes) -> str:
        """Store a content; returns its SHA-256 in hex."""
        digest = hashlib.sha256(body).hexdigest()
        path = self._path(digest)
        try:
            os.utime(path)  # young again: the collector leaves it alone
        except FileNotFoundError:
            self._write(path, body)
        return digest

    def get(self, digest: str) -> bytes | None:
        """The content, None when it is not here."""
        try:
            return self._path(digest).read_bytes()
        except FileNotFoundError:
            return None

    def link(self, digest: str, target: Path) -> bool:
        """Make ``target`` a name of the blob, replacing what it named; False if it is gone."""
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = aside(target)
        fresh.unlink(missing_ok=True)  # whoever made it was killed before the rename
        try:
            os.link(self._path(digest), fresh)
            fresh.replace(target)
        except FileNotFoundError:
            return False
        finally:
            # Renaming one link of a file onto another of it does nothing: both names stay.
            fresh.unlink(missing_ok=True)
        return True

    def is_link(self, digest: str, handle: int) -> bool:
        """Whether an open file is a link to the blob."""
        try:
            return os.path.samestat(self._path(digest).stat(), os.fstat(handle))
        except FileNotFoundError:
            return False

    def digests(self) -> Iterator[str]:
        """Every blob there is."""
        for shard in self.folder.iterdir():
            if shard != self._incoming and shard.is_dir():
                yield from (path.name for path in shard.iterdir() if _DIGEST.fullmatch(path.name))

    def collect(self, referenced: Container[str], min_age_s: float) -> tuple[int, int]:
        """Delete blobs that no device links and no binding names: (blobs, bytes).

        Younger ones stay: somebody may be about to name them.
        """
        before, gone, freed = time.time() - min_age_s, 0, 0
        for digest in list(self.digests()):
            path = self._path(digest)
            try:
                status = path.stat()
                if status.st_nlink > 1 or status.st_mtime > before or digest in referenced:
                    continue
                path.unlink()
            except FileNotFoundError:
                continue
            gone, freed = gone + 1, freed + status.st_size
        for path in self._incoming.iterdir():
            with suppress(FileNotFoundError):  # it has its final name now
                if path.stat().st_mtime < before:  # its writer was killed
                    path.unlink()
        return gone, freed

    def _path(self, digest: str) -> Path:
        if not _DIGEST.fullmatch(digest):
            raise InvalidInput("sha256", digest, "64 hexadecimal digits")
        return self.folder / digest[:2] / digest

    def _write(self, path: Path, body: bytes) -> None:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=self._incoming)
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(body)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
