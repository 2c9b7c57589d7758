"""The history: what each process read and wrote, in files of its own that survive its death.

Times are those of CLOCK_MONOTONIC, which all processes of a machine share.
"""

from __future__ import annotations

import json
import os
import struct
import sys
import time
from collections.abc import Iterator
from enum import IntEnum
from pathlib import Path
from typing import Any, NamedTuple

from tests.chaos.coherence.world import trim

#: begin, end, place of the key, how, 1 + the tier if one was asked alone, number of the value
_READ = struct.Struct("<ddHBBI")
_VALUE = struct.Struct("<IH")
_HOW_AT = 18  # in a read, where its ``how`` is
NO_VALUE = 0xFFFFFFFF
FLUSH_S = 0.1
#: How the names of those begin that read through an ``AsyncCache``.
ASYNC = "a"
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
    FILLED = 7  # no read: a value made and stored by a fenced fill
    REFUSED = 8  # the same, but it was stale by then
    GIVEN_UP = 9  # cancelled while it went on


HITS = (How.MEMORY, How.REDIS, How.DISK)
#: What counts as a read; the value that a fill made is judged like one all the same.
ANSWERS = (*HITS, How.LOADER, How.BYPASS)


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


class Answered:
    """How many reads with an answer there are in the logs of a folder, as they grow."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._count = folder, 0
        self._seen: dict[Path, int] = {}

    def count(self) -> int:
        """So many by now."""
        for path in self._folder.glob("*.reads"):
            with path.open("rb") as file:
                file.seek(self._seen.get(path, 0))
                new = file.read()
            new = new[: len(new) - len(new) % _READ.size]
            self._seen[path] = self._seen.get(path, 0) + len(new)
            self._count += sum(new[_HOW_AT :: _READ.size].count(how) for how in ANSWERS)
        return self._count


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
    strategy: str = "immediate"
    seed: str = "key"  # what was invalidated: key | value | several | tag | namespace
    by: str = "service"  # | client | async client

    @property
    def cascades(self) -> bool:
        """Whether what is derived from the source was invalidated too."""
        return self.seed != "value"


class Edge(NamedTuple):
    """A dependency of one value that was declared after the fact."""

    process: str
    key: str
    number: int  # of the value
    called: float
    returned: float
    settled: float | None  # when a value that was stale for it had been invalidated
    late: bool  # whether it was


class LineLog:
    """Appends what one process did, a line of JSON each."""

    def __init__(self, folder: Path, name: str, kind: str) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        self._file = os.open(folder / f"{name}.{kind}", flags, 0o600)

    def add(self, line: Write | Edge) -> None:
        """One more line; a later one about the same stands for it."""
        os.write(self._file, json.dumps(line).encode() + b"\n")


def read_writes(folder: Path) -> list[Write]:
    """All writes, as they stand in the end."""
    writes = (Write(*line) for line in _lines(folder, "writes"))
    return list({(write.source, write.version): write for write in writes}.values())


def read_edges(folder: Path) -> list[Edge]:
    """All that was declared, as it stands in the end."""
    edges = (Edge(*line) for line in _lines(folder, "edges"))
    return list({(edge.process, edge.key, edge.number): edge for edge in edges}.values())


def _lines(folder: Path, kind: str) -> Iterator[list[Any]]:
    for path in sorted(folder.glob(f"*.{kind}")):
        yield from map(json.loads, path.read_text().splitlines())


class Complaints:
    """Says each kind of error once, where the logs of processes go."""

    def __init__(self) -> None:
        self._said: set[str] = set()

    def add(self, error: Exception) -> None:
        """One more error."""
        text = f"{type(error).__name__}: {error}"
        if text not in self._said:
            self._said.add(text)
            print(text, file=sys.stderr, flush=True)


class Fault(NamedTuple):
    """Something that was done to the system."""

    name: str
    begin: float
    end: float
