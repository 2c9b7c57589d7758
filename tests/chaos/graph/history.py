"""What each process notes, in files of its own. Times are of CLOCK_MONOTONIC unless said."""

from __future__ import annotations

import json
import os
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from tests.chaos.graph.world import Declared

_READ = struct.Struct("<ddHQ")
FLUSH_S: Final = 0.2


class Read(NamedTuple):
    """One read: the place of its key in ``KEYS``, and the id of the value that it gave."""

    begin: float
    end: float
    key: int
    value: int


class Made(NamedTuple):
    """A value that a loader or a fill made, from which values, and what it reflects."""

    value: int
    key: str
    inputs: list[tuple[str, int]]
    docs: list[tuple[int, int]]
    declared: list[Declared]
    at: float


class Change(NamedTuple):
    """One new version of a document, and its invalidation."""

    doc: int
    version: int
    consistency: str
    strategy: str
    called: float
    returned: float
    status: str


class Look(NamedTuple):
    """What was found of the bytes that an invalidation had to remove."""

    request: str
    there: int  # records made from older versions, before the call
    went_on: bool  # in the background, past a limit
    left: list[dict[str, Any]]  # after the purge, with what explains them
    took_s: float  # from the call until it was purged


class Log:
    """Appends lines or reads of one thread."""

    def __init__(self, folder: Path, name: str, kind: str) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        self._file = os.open(folder / f"{name}.{kind}", flags, 0o600)
        self._new = bytearray()
        self._flushed = time.monotonic()

    def line(self, noted: NamedTuple) -> None:
        """One more line."""
        self._add(json.dumps(noted).encode() + b"\n")

    def read(self, read: Read) -> None:
        """One more read."""
        self._add(_READ.pack(*read))

    def flush(self) -> None:
        """What is written now survives the process."""
        os.write(self._file, self._new)
        self._new.clear()
        self._flushed = time.monotonic()

    def _add(self, raw: bytes) -> None:
        self._new += raw
        if time.monotonic() > self._flushed + FLUSH_S:
            self.flush()


def reads(folder: Path) -> Iterator[Read]:
    """All reads."""
    for path in sorted(folder.glob("*.reads")):
        raw = path.read_bytes()
        whole = len(raw) - len(raw) % _READ.size
        yield from map(Read._make, _READ.iter_unpack(raw[:whole]))


def lines(folder: Path, kind: str) -> Iterator[list[Any]]:
    """All lines of a kind; the last one of a process that was killed may be torn."""
    for path in sorted(folder.glob(f"*.{kind}")):
        for line in path.read_bytes().split(b"\n")[:-1]:
            yield json.loads(line)
