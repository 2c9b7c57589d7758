"""Loaded into a worker (``-I``): it reads files piece by piece, and waits while there is a gate.

``SLOW_GATE`` names a file: while it exists no piece comes. ``SLOW_DIARY`` names one that gets a
line for each file that is opened: the process and the path.
"""

from __future__ import annotations

import io
import os
import time
from pathlib import Path

from cachekeeper.origin.folder import FolderOrigin

GATE, DIARY = "SLOW_GATE", "SLOW_DIARY"

_whole = FolderOrigin.open


class _Slow(io.BytesIO):
    """A file whose pieces wait for the gate to go."""

    def read(self, _size: int | None = -1, /) -> bytes:
        while Path(os.environ[GATE]).exists():
            time.sleep(0.02)
        return super().read(64)


def _opened(origin: FolderOrigin, path: str) -> _Slow:
    with Path(os.environ[DIARY]).open("a") as diary:
        diary.write(f"{os.getpid()} {path}\n")
    with _whole(origin, path) as file:
        return _Slow(file.read())


if GATE in os.environ:  # in a worker, and not in the test that imports the names
    FolderOrigin.open = _opened  # type: ignore[assignment, method-assign]
