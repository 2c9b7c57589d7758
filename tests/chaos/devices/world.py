"""The library that a device reads, and what tells a whole content from a broken one."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

DEVICE: Final = "phone"
MIB: Final = 1024 * 1024


def write(folder: Path, path: str, version: int, size: int) -> None:
    """Put a version of a file into the library, in one step."""
    new = folder / f".{path}"
    with new.open("wb") as file:
        for piece in _pieces(path, version, size):
            file.write(piece)
    new.replace(folder / path)


def sizes(count: int, total: int, chance: random.Random) -> list[int]:
    """How large the files are, most of them small; together some ``total`` bytes."""
    drawn = [chance.lognormvariate(0, 1.2) for _ in range(count)]
    return [max(1, int(total * each / sum(drawn))) for each in drawn]


def is_whole(file: BinaryIO, path: str, size: int) -> bool:
    """Whether a file is some version of a path, all of it."""
    head = file.read(8)
    file.seek(0)
    version = int.from_bytes(head, "big")
    read = 0
    for piece in _pieces(path, version, size):
        found = file.read(len(piece))
        if found != piece:
            return False
        read += len(found)
    return read == size and not file.read(1)


def _pieces(path: str, version: int, size: int) -> Iterator[bytes]:
    told = version.to_bytes(8, "big")
    block = hashlib.sha256(f"{path} {version}".encode()).digest() * (MIB // 32)
    left, first = size, told
    while left:
        piece = (first + block)[: min(left, MIB)]
        yield piece
        left, first = left - len(piece), b""
