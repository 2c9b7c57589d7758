"""Immutable blobs on the disk of a host, named by the SHA-256 of their content.

A blob is written to a temporary name, flushed and renamed, so that a name never stands for
half a content. A device's copy of a file is a hard link to the blob: one content takes its
bytes once, whoever holds it, and the link count says whether anybody does.

Everything is reached relative to open folders and nothing through a link, so that whoever can
write beside the blobs can't have us read or write elsewhere.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
import uuid
from collections.abc import Container, Iterator
from contextlib import suppress
from pathlib import Path

from cachekeeper.beneath import folder_beneath, open_beneath
from cachekeeper.errors import InvalidInput

_DIGEST = re.compile(r"[0-9a-f]{64}")
_SHARD = re.compile(r"[0-9a-f]{2}")
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_INCOMING = "incoming"


def aside(name: str) -> str:
    """The name under which a link waits to replace ``name``."""
    return f".{name}"


class Blobs:
    """The blob folder of a host."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def put(self, body: bytes) -> str:
        """Store a content; returns its SHA-256 in hex.

        Raises:
            OSError: the disk is full, or a folder is not what it should be.
        """
        digest = hashlib.sha256(body).hexdigest()
        with folder_beneath(self.folder, digest[:2], make=True) as shard:
            try:
                # Young again: the collector leaves it alone.
                os.utime(digest, dir_fd=shard, follow_symlinks=False)
            except FileNotFoundError:
                self._write(shard, digest, body)
        return digest

    def get(self, digest: str) -> bytes | None:
        """The content, None when it is not here."""
        try:
            handle = open_beneath(self.folder, *_parts(digest))
        except FileNotFoundError:
            return None
        with os.fdopen(handle, "rb") as file:
            return file.read()

    def size(self, digest: str) -> int | None:
        """How many bytes the content has, None when it is not here."""
        shard_name, _ = _parts(digest)
        try:
            with folder_beneath(self.folder, shard_name) as shard:
                return os.stat(digest, dir_fd=shard, follow_symlinks=False).st_size
        except FileNotFoundError:
            return None

    def link(self, digest: str, folder: int, name: str) -> bool:
        """Make ``name`` in an open folder a name of the blob, replacing what it was.

        False if the blob is gone.
        """
        shard_name, _ = _parts(digest)
        waiting = aside(name)
        with suppress(FileNotFoundError):  # whoever made it was killed before the rename
            os.unlink(waiting, dir_fd=folder)
        try:
            with folder_beneath(self.folder, shard_name) as shard:
                os.link(digest, waiting, src_dir_fd=shard, dst_dir_fd=folder, follow_symlinks=False)
            os.rename(waiting, name, src_dir_fd=folder, dst_dir_fd=folder)
        except FileNotFoundError:
            return False
        finally:
            # Renaming one link of a file onto another of it does nothing: both names stay.
            with suppress(FileNotFoundError):
                os.unlink(waiting, dir_fd=folder)
        return True

    def is_link(self, digest: str, handle: int) -> bool:
        """Whether an open file is a link to the blob."""
        shard_name, _ = _parts(digest)
        try:
            with folder_beneath(self.folder, shard_name) as shard:
                ours = os.stat(digest, dir_fd=shard, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return os.path.samestat(ours, os.fstat(handle))

    def digests(self) -> Iterator[str]:
        """Every blob there is."""
        for shard in sorted(os.listdir(self.folder)):
            if _SHARD.fullmatch(shard):
                with folder_beneath(self.folder, shard) as handle:
                    names = os.listdir(handle)
                yield from (name for name in names if _DIGEST.fullmatch(name))

    def collect(self, referenced: Container[str], min_age_s: float) -> tuple[int, int]:
        """Delete blobs that no device links and no binding names: (blobs, bytes).

        Younger ones stay: somebody may be about to name them.
        """
        before, gone, freed = time.time() - min_age_s, 0, 0
        for digest in list(self.digests()):
            with suppress(FileNotFoundError), folder_beneath(self.folder, digest[:2]) as shard:
                status = os.stat(digest, dir_fd=shard, follow_symlinks=False)
                if status.st_nlink > 1 or status.st_mtime > before or digest in referenced:
                    continue
                os.unlink(digest, dir_fd=shard)
                gone, freed = gone + 1, freed + status.st_size
        with folder_beneath(self.folder, _INCOMING, make=True) as incoming:
            for name in os.listdir(incoming):
                with suppress(FileNotFoundError):  # it has its final name now
                    if os.stat(name, dir_fd=incoming, follow_symlinks=False).st_mtime < before:
                        os.unlink(name, dir_fd=incoming)  # its writer was killed
        return gone, freed

    def _write(self, shard: int, digest: str, body: bytes) -> None:
        temporary = uuid.uuid4().hex
        with folder_beneath(self.folder, _INCOMING, make=True) as incoming:
            handle = os.open(temporary, _NEW, 0o600, dir_fd=incoming)
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(body)
                    file.flush()
                    os.fsync(file.fileno())  # before the rename: a name means a whole content
                os.rename(temporary, digest, src_dir_fd=incoming, dst_dir_fd=shard)
            except BaseException:
                with suppress(FileNotFoundError):
                    os.unlink(temporary, dir_fd=incoming)
                raise


def _parts(digest: str) -> tuple[str, str]:
    if not _DIGEST.fullmatch(digest):
        raise InvalidInput("sha256", digest, "64 hexadecimal digits")
    return digest[:2], digest
