"""What is read: files with a version, pages made of them, values that live for seconds."""

from __future__ import annotations

import mmap
import random
import struct
from pathlib import Path
from typing import Final

FILES: Final = 120
FILES_A_FOLDER: Final = 20
FOLDERS: Final = FILES // FILES_A_FOLDER
PAGES: Final = 30
FILES_A_PAGE: Final = 6
WIDE: Final = 2  # pages made of every file, which fold into groups
SHORT: Final = 200  # values that live for seconds
SHORT_S: Final = 5.0
WIDE_S: Final = 8.0
LARGE: Final = 400 * 1024  # of a few files: no value of the Redis tier
TAGS: Final = 5
DEVICES: Final = ("tablet", "television", "phone")
#: Written as it is looked at, once all is quiet: so many values there are to hold.
KEYS: Final = FILES + PAGES + WIDE + SHORT

_FLOOR = struct.Struct("<Q")


def path_of(number: int) -> str:
    """A file, in one of a few folders, of a series as cameras write it."""
    return f"album{number // FILES_A_FOLDER:02}/IMG_{number:04}.txt"


def number_of(path: str) -> int:
    """The opposite."""
    return int(path[-8:-4])


def body_of(number: int, version: int) -> bytes:
    """The content of a version; its size is the file's."""
    size = LARGE if number % 40 == 7 else random.Random(number).randrange(1_000, 60_000)
    return f"{number} {version}\n".encode().ljust(size, b".")


def version_of(body: bytes) -> int:
    """The version that a content is of."""
    return int(body[: body.index(b"\n")].split()[1])


def write(library: Path, number: int, version: int) -> None:
    """Put a version into the library, in one step."""
    to = library / path_of(number)
    to.parent.mkdir(parents=True, exist_ok=True)
    new = to.with_name(f".{to.name}.new")
    new.write_bytes(body_of(number, version))
    new.replace(to)


def parts_of(page: int) -> list[int]:
    """The files that a page is made of."""
    if page >= PAGES:
        return list(range(FILES))
    return random.Random(f"page {page}").sample(range(FILES), FILES_A_PAGE)


class Floors:
    """By file, the version that a strict invalidation promised: no later read may give an older.

    Shared by processes; one of them writes.
    """

    def __init__(self, file: Path) -> None:
        if not file.exists():
            file.write_bytes(bytes(FILES * _FLOOR.size))
        with file.open("r+b") as opened:
            self._shared = mmap.mmap(opened.fileno(), FILES * _FLOOR.size)

    def __getitem__(self, number: int) -> int:
        return int(_FLOOR.unpack_from(self._shared, number * _FLOOR.size)[0])

    def rise(self, number: int, version: int) -> None:
        """From here on nothing older may be read."""
        if version > self[number]:
            _FLOOR.pack_into(self._shared, number * _FLOOR.size, version)
