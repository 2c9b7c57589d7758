"""The files of the devices on this host: one folder a device, each file a link to a blob.

Every copy has a name of its own, which no other copy ever has: who deletes it deletes nothing
else, and a new copy of a path stands beside the old one until the manifest names it. The bytes
of the folder are the bytes of the device.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from cachekeeper.beneath import folder_beneath, open_beneath
from cachekeeper.core.keys import check_device
from cachekeeper.errors import InvalidInput
from cachekeeper.store.blobs import Blobs

_COPY = re.compile(r"[0-9a-f]{32}")


class DeviceFiles:
    """Puts files into the folders of devices and takes them out."""

    def __init__(self, folder: Path, blobs: Blobs) -> None:
        self._folder, self._blobs = folder, blobs
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def link(self, device: str, copy: str, digest: str) -> bool:
        """Give a device a copy of a blob; False when there is no such blob.

        Raises:
            OSError: there is a copy of that name, or a folder is not what it should be.
        """
        with folder_beneath(self._folder, check_device(device), make=True) as folder:
            return self._blobs.link(digest, folder, _checked(copy))

    def open(self, device: str, copy: str) -> BinaryIO | None:
        """A device's copy, to be read and closed; None when it is not here."""
        try:
            handle = open_beneath(self._folder, check_device(device), _checked(copy))
        except FileNotFoundError:
            return None
        return os.fdopen(handle, "rb")

    def delete(self, device: str, copies: Iterable[str]) -> None:
        """Take copies away; those that are gone already don't matter."""
        with (
            suppress(FileNotFoundError),
            folder_beneath(self._folder, check_device(device)) as folder,
        ):
            for copy in copies:
                with suppress(FileNotFoundError):
                    os.unlink(_checked(copy), dir_fd=folder)

    def sizes(self, device: str) -> dict[str, int]:
        """Every copy in the device's folder with its bytes, asked of the file system.

        Raises:
            OSError: a folder is not what it should be.
        """
        found = {}
        with (
            suppress(FileNotFoundError),
            folder_beneath(self._folder, check_device(device)) as folder,
            os.scandir(folder) as entries,
        ):
            for entry in entries:
                with suppress(FileNotFoundError):  # evicted while we looked
                    found[entry.name] = entry.stat(follow_symlinks=False).st_size
        return found

    def bytes_on_disk(self, device: str) -> int:
        """What the device's files take, asked of the file system, not of the ledger."""
        return sum(self.sizes(device).values())

    def folder_of(self, device: str) -> Path:
        """Where the device's files are."""
        return self._folder / check_device(device)


def _checked(copy: str) -> str:
    if not _COPY.fullmatch(copy):
        raise InvalidInput("copy", copy, "32 hexadecimal digits")
    return copy
