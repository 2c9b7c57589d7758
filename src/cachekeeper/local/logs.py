"""The services' logs: each process writes its own file, the supervisor follows and shows it.

Files and not pipes, because a pipe ties the writer to its reader: a terminal stopped with
Ctrl-S would stop the workers once the pipe is full, and what they say after the supervisor
was killed, which is when it matters most, would be lost.
"""

from __future__ import annotations

import os
import re
import shutil
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, TextIO

#: A log that has grown to this many bytes is kept as ``NAME.log.1`` and begun anew.
LIMIT = 8 * 1024 * 1024
#: Lines remembered to say what a process that died had said.
REMEMBERED = 8

_COLOURS = (36, 32, 33, 35, 34)
_CONTROL = re.compile(r"\x1b\[[0-9;]*m|[\x00-\x08\x0b-\x1f\x7f]")


class Log:
    """One service's log file, followed from where it ended when opened."""

    def __init__(self, path: Path, limit: int = LIMIT) -> None:
        self.path, self._limit = path, limit
        #: The last lines since `open`.
        self.last: deque[str] = deque(maxlen=REMEMBERED)
        self._rest = b""
        path.touch(mode=0o600)
        self._reader = path.open("rb", buffering=0)
        self._reader.seek(0, os.SEEK_END)

    def open(self) -> BinaryIO:
        """The file for a new process to append to; forgets the last lines of the one before."""
        self.last.clear()
        return self.path.open("ab")

    def lines(self) -> Iterator[str]:
        """The lines written since the last call, without colours and control characters."""
        while data := self._reader.read(1 << 16):
            *whole, self._rest = (self._rest + data).split(b"\n")
            for raw in whole:
                line = _CONTROL.sub("", raw.decode(errors="replace")).rstrip()
                if line:
                    self.last.append(line)
                    yield line
        if self._reader.tell() > self._limit:
            self._begin_anew()

    def close(self) -> None:
        """Stop following."""
        self._reader.close()

    def _begin_anew(self) -> None:
        # Its writers hold the file open in append mode, so emptying it in place is what
        # works for all of them; a line written during the copy may be lost.
        shutil.copyfile(self.path, self.path.with_name(f"{self.path.name}.1"))
        os.truncate(self.path, 0)
        self._reader.seek(0)


class Console:
    """Shows lines with the name of their process before them, in colour on a terminal.

    ``quiet`` shows what the supervisor itself says and leaves the services' logs to their files.
    """

    def __init__(self, stream: TextIO, *, quiet: bool = False) -> None:
        self._stream, self._quiet = stream, quiet
        self._colourful = stream.isatty() and not os.environ.get("NO_COLOR")
        self._names: list[str] = []
        self._broken = False

    def say(self, text: str) -> None:
        """Something that the supervisor has to say."""
        self._write(text)

    def log(self, name: str, line: str) -> None:
        """A line of a service's log."""
        if self._quiet:
            return
        if name not in self._names:
            self._names.append(name)
        tag = f"{name:<9} |"
        if self._colourful:
            colour = _COLOURS[self._names.index(name) % len(_COLOURS)]
            tag = f"\x1b[{colour}m{tag}\x1b[0m"
        self._write(f"{tag} {line}")

    def _write(self, text: str) -> None:
        # The reader of our output may leave before us (`up | head`): the services go on.
        if self._broken:
            return
        try:
            self._stream.write(f"{text}\n")
            self._stream.flush()
        except OSError:
            self._broken = True
