"""Recorded accesses: a CSV with the columns ``ts``, ``key``, ``size``, and whatever else.

Of what else there may be, ``client`` is read: who asked.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from math import inf
from typing import Final

from cachekeeper.errors import InvalidInput

COLUMNS: Final = ("ts", "key", "size")
CLIENT: Final = "client"


@dataclass(frozen=True)
class Trace:
    """Accesses in order: the time of each in seconds, the key, the size of the object in bytes."""

    name: str
    times: list[float]
    keys: list[str]
    sizes: list[int]
    clients: list[str] = field(default_factory=list)  # who asked; none when nothing tells

    def __len__(self) -> int:
        return len(self.keys)

    @cached_property
    def largest(self) -> dict[str, int]:
        """By key, the largest size that it had."""
        found: dict[str, int] = {}
        for key, size in zip(self.keys, self.sizes, strict=True):
            if size > found.get(key, -1):
                found[key] = size
        return found

    @cached_property
    def footprint(self) -> int:
        """The bytes that hold everything, whenever it is asked for."""
        return sum(self.largest.values())

    @cached_property
    def requested(self) -> int:
        """The bytes of all requests."""
        return sum(self.sizes)

    @property
    def sized(self) -> bool:
        """Whether it tells sizes; a trace that does not says 1 everywhere."""
        return self.footprint != len(self.largest)


def parse(name: str, lines: Iterable[str], limit: int | None = None) -> Trace:
    """Read a trace, or its first accesses.

    Raises:
        InvalidInput: names the line and the field, and what is allowed there.
    """
    reader = csv.reader(lines, strict=True)
    times: list[float] = []
    keys: list[str] = []
    sizes: list[int] = []
    clients: list[str] = []
    same: dict[str, str] = {}  # a text is kept once, however often it is asked for
    before = -inf
    try:
        header = next(reader, [])
        columns = _columns(name, header)
        at_client = header.index(CLIENT) if CLIENT in header else None
        at_ts, at_key, at_size = columns
        needed = 1 + max(columns)
        for row in islice(filter(None, reader), limit):
            try:
                ts, key, size = float(row[at_ts]), row[at_key], int(row[at_size])
            except (ValueError, IndexError):
                ts, key, size = inf, "", -1
            if size < 0 or not key or not before <= ts < inf:
                raise _complaint(f"{name}, line {reader.line_num}", row, columns, needed, before)
            before = ts
            times.append(ts)
            keys.append(same.setdefault(key, key))
            sizes.append(size)
            if at_client is not None:
                client = row[at_client] if at_client < len(row) else ""
                clients.append(same.setdefault(client, client))
    except (csv.Error, UnicodeDecodeError) as error:
        where = f"{name}, line {reader.line_num + isinstance(error, UnicodeDecodeError)}"
        raise InvalidInput(where, str(error), "a line of CSV in UTF-8") from error
    if not keys:
        raise InvalidInput(f"{name}, line 2", "", "an access: the trace holds none")
    return Trace(name, times, keys, sizes, clients)


def _columns(name: str, header: list[str]) -> tuple[int, int, int]:
    try:
        at_ts, at_key, at_size = (header.index(column) for column in COLUMNS)
    except ValueError as error:
        allowed = f"a header with the columns {', '.join(COLUMNS)}"
        raise InvalidInput(f"{name}, line 1", ",".join(header), allowed) from error
    return at_ts, at_key, at_size


def _complaint(
    where: str, row: list[str], columns: tuple[int, int, int], needed: int, before: float
) -> InvalidInput:
    """What is wrong with a line of which something is."""
    if len(row) < needed:
        return InvalidInput(where, ",".join(row), f"{needed} fields at least")
    ts, key, size = (row[column] for column in columns)
    try:
        time = float(ts)
    except ValueError:
        return InvalidInput(f"{where}, ts", ts, "a number of seconds")
    if not before <= time < inf:
        earliest = "a number of seconds" if before == -inf else f"{before!r} or later, in order"
        return InvalidInput(f"{where}, ts", ts, earliest)
    if not key:
        return InvalidInput(f"{where}, key", key, "a name that is not empty")
    return InvalidInput(f"{where}, size", size, "a whole number of bytes, 0 or more")
