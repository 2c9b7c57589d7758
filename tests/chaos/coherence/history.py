"""The history: what each process read and wrote, in files of its own that survive its death.

Times are those of CLOCK_MONOTONIC, which all processes of a machine share.
"""

from __future__ import annotations

import json
import os
import struct
import time
from collections.abc import Iterator
from enum import IntEnum
from pathlib import Path
from typing import NamedTuple

from tests.chaos.coherence.world import trim

#: begin, end, place of the key, how, 1 + the tier if one was asked alone, number of the value
_READ = struct.Struct("<ddHBBI")
_VALUE = struct.Struct("<IH")
READ_BYTES = _READ.size
NO_VALUE = 0xFFFFFFFF
FLUSH_S = 0.1
VALUES_KNOWN = 5000


class How(IntEnum):
    """Where a read ended."""

    MEMORY = 0
    REDIS = 1
    DISK = 2
    LOADER = 3
    BYPASS = 4
    MISS = 5  # a tier that was asked alone holds nothing fresh
    ERROR = 6


HITS = (How.MEMORY, How.REDIS, How.DISK)


class Read(NamedTuple):
    """One read."""

    begin: float
    end: float
    key: int
    how: int
    alone: int
    value: int


class ReadLog:
    """Appends the reads of one thread. Values are written once, and named by number."""

    def __init__(self, folder: Path, name: str) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        self._reads = os.open(folder / f"{name}.reads", flags, 0o600)
        self._values = os.open(folder / f"{name}.values", flags, 0o600)
        self._known: dict[bytes, int] = {}
        self._next = 0
        self._new_reads, self._new_values = bytearray(), bytearray()
        self._flushed = time.monotonic()

    def add(
        self, begin: float, end: float, key: int, how: int, alone: int, body: bytes | None
    ) -> None:
        """One more read."""
        number = NO_VALUE if body is None else self._number(trim(body))
        self._new_reads += _READ.pack(begin, end, key, how, alone, number)
        if end - self._flushed > FLUSH_S:
            self.flush()

    def flush(self) -> None:
        """What is written now survives the process. Values first: reads name them."""
        os.write(self._values, self._new_values)
        os.write(self._reads, self._new_reads)
        self._new_values.clear()
        self._new_reads.clear()
        self._flushed = time.monotonic()

    def _number(self, body: bytes) -> int:
        number = self._known.get(body)
        if number is None:
            if len(self._known) > VALUES_KNOWN:
                self._known.clear()
            number = self._known[body] = self._next
            self._next += 1
            self._new_values += _VALUE.pack(number, len(body)) + body
        return number


def read_values(path: Path) -> dict[int, bytes]:
    """The values of a log by number."""
    raw, at, found = path.read_bytes(), 0, {}
    while at + _VALUE.size <= len(raw):
        number, size = _VALUE.unpack_from(raw, at)
        at += _VALUE.size
        found[number] = raw[at : at + size]
        at += size
    return found


def read_reads(path: Path) -> Iterator[Read]:
    """The reads of a log."""
    raw = path.read_bytes()
    whole = len(raw) - len(raw) % _READ.size
    return map(Read._make, _READ.iter_unpack(raw[:whole]))


class Write(NamedTuple):
    """One version of a source, written and invalidated."""

    writer: str
    source: int
    version: int
    consistency: str
    called: float
    returned: float
    status: str  # done | unknown | failed, or begun if its writer was killed
    error: str = ""


class WriteLog:
    """Appends the writes of one process, a line each."""

    def __init__(self, folder: Path, name: str) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        self._file = os.open(folder / f"{name}.writes", flags, 0o600)

    def add(self, write: Write) -> None:
        """One more line; a later one about the same version stands for it."""
        os.write(self._file, json.dumps(write).encode() + b"\n")


def read_writes(folder: Path) -> list[Write]:
    """All writes, as they stand in the end."""
    found: dict[tuple[int, int], Write] = {}
    for path in sorted(folder.glob("*.writes")):
        for line in path.read_text().splitlines():
            write = Write(*json.loads(line))
            found[write.source, write.version] = write
    return list(found.values())


class Fault(NamedTuple):
    """Something that was done to the system."""

    name: str
    begin: float
    end: float
