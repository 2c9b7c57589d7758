"""The files of the devices on this host: one folder a device, each file a link to a blob.

A file is named by the hash of its path, so that no path, however odd, can leave the folder,
and the bytes of the folder are the bytes of the device.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import BinaryIO

from cachekeeper.beneath import folder_beneath, open_beneath
from cachekeeper.core.keys import check_device
from cachekeeper.store.blobs import Blobs, aside


class DeviceFiles:
    """Puts files into the folders of devices and takes them out."""

    def __init__(self, folder: Path, blobs: Blobs) -> None:
        self._folder, self._blobs = folder, blobs
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def put(self, device: str, path: str, body: bytes) -> str:
        """Give a device a copy, replacing its old one in one step; returns the SHA-256.

        Raises:
            OSError: the disk is full, or a folder is not what it should be.
        """
        digest = self._blobs.put(body)
        if not self.restore(device, path, digest):  # collected in between
            digest = self._blobs.put(body)
            self.restore(device, path, digest)
        return digest

    def restore(self, device: str, path: str, digest: str) -> bool:
        """Make a device's copy the given content again; False when that content is gone."""
        with self._folder_of(device, make=True) as folder:
            return self._blobs.link(digest, folder, _name(path))

    def get(self, device: str, path: str, digest: str) -> bytes | None:
        """The device's copy of a content; None when it has none, or a copy of another."""
        file = self.open(device, path, digest)
        if file is None:
            return None
        with file:
            return file.read()

    def open(self, device: str, path: str, digest: str) -> BinaryIO | None:
        """The same to read from, whole even if the copy is taken away meanwhile."""
        try:
            handle = open_beneath(self._folder, check_device(device), _name(path))
        except FileNotFoundError:
            return None
        file = os.fdopen(handle, "rb")
        if self._blobs.is_link(digest, handle):
            return file
        file.close()
        return None

    def delete(self, device: str, path: str) -> None:
        """Take a device's copy away."""
        with suppress(FileNotFoundError), self._folder_of(device) as folder:
            for name in (_name(path), aside(_name(path))):
                with suppress(FileNotFoundError):
                    os.unlink(name, dir_fd=folder)

    def bytes_on_disk(self, device: str) -> int:
        """What the device's files take, asked of the file system, not of the ledger."""
        total = 0
        with suppress(FileNotFoundError), os.scandir(self.folder_of(device)) as found:
            for entry in found:
                with suppress(FileNotFoundError):  # evicted while we looked
                    total += entry.stat().st_size
        return total

    def folder_of(self, device: str) -> Path:
        """Where the device's files are."""
        return self._folder / check_device(device)

    def _folder_of(self, device: str, *, make: bool = False) -> AbstractContextManager[int]:
        return folder_beneath(self._folder, check_device(device), make=make)


def _name(path: str) -> str:
    return hashlib.sha256(path.encode()).hexdigest()
