"""Immutable blobs on the disk of a host, named by the SHA-256 of their content.

A blob is streamed to a temporary name, flushed and renamed, so that a name never stands for half a
content. A device's copy of a file is a hard link to the blob: one content takes its bytes once,
whoever holds it, and the link count says whether anybody does.

Everything is reached relative to open folders and nothing through a link, so that whoever can
write beside the blobs can't have us read or write elsewhere.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import time
import uuid
from collections.abc import Container, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from cachekeeper.beneath import folder_beneath, open_beneath
from cachekeeper.errors import DiskFull, InvalidInput

_DIGEST = re.compile(r"[0-9a-f]{64}")
_SHARD = re.compile(r"[0-9a-f]{2}")
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_INCOMING = "incoming"
_CAN_NOT = {errno.EOPNOTSUPP, errno.EINVAL}  # of file systems that can't give room in advance


class Blobs:
    """The blob folder of a host; ``min_free`` bytes of its file system are left free."""

    def __init__(self, folder: Path, min_free: int = 0) -> None:
        self.folder, self._min_free = folder, min_free
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def put(self, body: bytes) -> str:
        """Store a content that is in memory; returns its SHA-256 in hex.

        Raises:
            DiskFull: less than ``min_free`` would be left.
            OSError: a folder is not what it should be.
        """
        digest = hashlib.sha256(body).hexdigest()
        return digest if self._renew(digest) else self.receive([body], len(body))

    def receive(self, chunks: Iterable[bytes], size: int) -> str:
        """Store a content of ``size`` bytes as it comes; returns its SHA-256 in hex.

        Whatever the chunks raise is passed on, and nothing is kept then.

        Raises:
            DiskFull: less than ``min_free`` would be left.
            OSError: a folder is not what it should be.
        """
        temporary = uuid.uuid4().hex
        with folder_beneath(self.folder, _INCOMING, make=True) as incoming:
            handle = os.open(temporary, _NEW, 0o600, dir_fd=incoming)
            try:
                with os.fdopen(handle, "wb") as file:
                    self._claim(file, size)
                    digest = _written(file, chunks)
                with folder_beneath(self.folder, digest[:2], make=True) as shard:
                    if not self._renew(digest):
                        os.rename(temporary, digest, src_dir_fd=incoming, dst_dir_fd=shard)
            finally:
                with suppress(FileNotFoundError):
                    os.unlink(temporary, dir_fd=incoming)
        return digest

    def get(self, digest: str) -> bytes | None:
        """The content, None when it is not here."""
        file = self.open(digest)
        if file is None:
            return None
        with file:
            return file.read()

    def open(self, digest: str) -> BinaryIO | None:
        """The content, to be read and closed; None when it is not here."""
        try:
            handle = open_beneath(self.folder, *_parts(digest))
        except FileNotFoundError:
            return None
        return os.fdopen(handle, "rb")

    def size(self, digest: str) -> int | None:
        """How many bytes the content has, None when it is not here."""
        shard_name, _ = _parts(digest)
        try:
            with folder_beneath(self.folder, shard_name) as shard:
                return os.stat(digest, dir_fd=shard, follow_symlinks=False).st_size
        except FileNotFoundError:
            return None

    def link(self, digest: str, folder: int, name: str) -> bool:
        """Make ``name`` in an open folder a name of the blob; False if the blob is gone.

        Raises:
            OSError: there is such a name.
        """
        shard_name, _ = _parts(digest)
        try:
            with folder_beneath(self.folder, shard_name) as shard:
                os.link(digest, name, src_dir_fd=shard, dst_dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return True

    def digests(self) -> Iterator[str]:
        """Every blob there is."""
        for shard in sorted(os.listdir(self.folder)):
            if _SHARD.fullmatch(shard):
                with folder_beneath(self.folder, shard) as handle:
                    names = os.listdir(handle)
                yield from (name for name in names if _DIGEST.fullmatch(name))

    def collect(self, referenced: Container[str], min_age_s: float) -> tuple[int, int]:
        """Delete blobs that no device links and no binding names: (blobs, bytes).

        Younger ones stay: somebody may be about to name them, and whoever finds a blob there makes
        it young. One that became so while we looked comes back: it is moved aside, looked at again,
        and only then deleted.
        """
        before, gone, freed = time.time() - min_age_s, 0, 0
        with folder_beneath(self.folder, _INCOMING, make=True) as incoming:
            for digest in list(self.digests()):
                if digest in referenced:
                    continue
                with suppress(FileNotFoundError), folder_beneath(self.folder, digest[:2]) as shard:
                    status = os.stat(digest, dir_fd=shard, follow_symlinks=False)
                    if _is_garbage(status, before) and _bury(digest, shard, incoming, before):
                        gone, freed = gone + 1, freed + status.st_size
            for name in os.listdir(incoming):
                with suppress(FileNotFoundError):  # it has its final name now
                    if os.stat(name, dir_fd=incoming, follow_symlinks=False).st_mtime < before:
                        os.unlink(name, dir_fd=incoming)  # its writer was killed
        return gone, freed

    def _renew(self, digest: str) -> bool:
        """Make a blob young, so that the collector leaves it alone; False when there is none."""
        try:
            with folder_beneath(self.folder, digest[:2]) as shard:
                os.utime(digest, dir_fd=shard, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return True

    def _claim(self, file: BinaryIO, size: int) -> None:
        """Take the room of a content before it comes, so that concurrent ones can't overshoot."""
        self._check_free(file, size)
        if size:
            try:
                _allocate(file, size)
            except OSError as error:
                if error.errno == errno.ENOSPC:
                    raise DiskFull(f"the disk has no room for {size} bytes") from error
                if error.errno not in _CAN_NOT:
                    raise
            self._check_free(file, 0)

    def _check_free(self, file: BinaryIO, size: int) -> None:
        found = os.fstatvfs(file.fileno())
        free = found.f_bavail * found.f_frsize
        if free - size < self._min_free:
            raise DiskFull(
                f"{size} bytes would leave less than disk_min_free ({self._min_free} bytes); "
                f"{free} are free"
            )


def _written(file: BinaryIO, chunks: Iterable[bytes]) -> str:
    """Write a content as it comes, to the disk; returns its SHA-256 in hex."""
    found = hashlib.sha256()
    for chunk in chunks:
        found.update(chunk)
        file.write(chunk)
    file.truncate()
    file.flush()
    os.fsync(file.fileno())  # before the rename: a name means a whole content
    return found.hexdigest()


def _allocate(file: BinaryIO, size: int) -> None:
    if hasattr(os, "posix_fallocate"):  # macOS has none: there the check before has to do
        os.posix_fallocate(file.fileno(), 0, size)


def _is_garbage(status: os.stat_result, before: float) -> bool:
    return status.st_nlink == 1 and status.st_mtime <= before


def _bury(digest: str, shard: int, incoming: int, before: float) -> bool:
    """Delete a blob, unless it has been linked or made young meanwhile."""
    grave = uuid.uuid4().hex
    os.rename(digest, grave, src_dir_fd=shard, dst_dir_fd=incoming)
    is_garbage = _is_garbage(os.stat(grave, dir_fd=incoming, follow_symlinks=False), before)
    if not is_garbage:
        with suppress(FileExistsError):  # somebody has written it anew
            os.link(grave, digest, src_dir_fd=incoming, dst_dir_fd=shard, follow_symlinks=False)
    os.unlink(grave, dir_fd=incoming)
    return is_garbage


def _parts(digest: str) -> tuple[str, str]:
    if not _DIGEST.fullmatch(digest):
        raise InvalidInput("sha256", digest, "64 hexadecimal digits")
    return digest[:2], digest
