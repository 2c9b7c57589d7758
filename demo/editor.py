"""Real edits of real files in the copied library, the way programs make them."""

from __future__ import annotations

import os
import tempfile
from itertools import count
from pathlib import Path

from demo.pictures import repainted

LARGEST_PICTURE = 4 * 1024 * 1024
LONGEST_STEM, LONGEST_SUFFIX = 40, 8  # of a new name, which has to fit into 255 bytes


class Editor:
    """Changes files of one folder; every change differs from all before."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._numbers = count(1)

    def edit(self, path: str) -> bytes:
        """Change a file, as most programs do: a new one beside it, renamed over it."""
        target, number = self.folder / path, next(self._numbers)
        before = target.read_bytes()
        after = repainted(before, number) if len(before) <= LARGEST_PICTURE else None
        if after is None or after == before:
            after = f"edited {number} in process {os.getpid()}\n".encode() + before
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=".edit-")
        with os.fdopen(handle, "wb") as file:
            file.write(after)
        Path(name).replace(target)
        return after

    def delete(self, path: str) -> None:
        """Delete a file."""
        (self.folder / path).unlink()

    def rename(self, path: str) -> str:
        """Rename a file within its folder; returns the new path."""
        old = self.folder / path
        name = f"{old.stem[:LONGEST_STEM]} renamed {next(self._numbers)}"
        new = old.with_name(name + old.suffix[:LONGEST_SUFFIX])
        old.rename(new)
        return new.relative_to(self.folder).as_posix()
