"""Traces from files, as recorded or packed by gzip."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import Final

from cachekeeper.core.policy.trace import Trace, parse
from cachekeeper.errors import InvalidInput

SUFFIXES: Final = (".csv", ".csv.gz")


def read_trace(path: Path, limit: int | None = None) -> Trace:
    """Read a trace, or its first accesses.

    Raises:
        InvalidInput: it can't be read; of its content, names the line and the field.
    """
    if not path.name.endswith(SUFFIXES):
        raise InvalidInput("trace", str(path), f"a file named *{' or *'.join(SUFFIXES)}")
    opened = gzip.open if path.name.endswith(".gz") else open
    try:
        with opened(path, "rt", encoding="utf-8", newline="") as file:
            return parse(name_of(path), file, limit)
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise InvalidInput("trace", str(path), f"a file that can be read ({reason})") from error


def traces_in(folder: Path) -> list[Path]:
    """The traces of a folder by name. Raises InvalidInput: it has none."""
    found = sorted(path for path in folder.glob("*") if path.name.endswith(SUFFIXES))
    if not found:
        raise InvalidInput("traces", str(folder), f"a folder with *{' or *'.join(SUFFIXES)}")
    return found


def name_of(path: Path) -> str:
    """What a trace is called: its file without what packed it."""
    return path.name.removesuffix(".gz").removesuffix(".csv")
