"""An origin that gives a file piece by piece, when it is told to."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from cachekeeper.origin.folder import FolderOrigin

WAITS_S = 30.0


class Slow(io.RawIOBase):
    """A file of which each piece has to be let through."""

    def __init__(self, body: bytes, pieces: int, gate: Gate) -> None:
        length = -(-len(body) // pieces)
        self._parts = [body[i : i + length] for i in range(0, len(body), length)]
        self._gate = gate

    def read(self, _size: int = -1) -> bytes:
        """The next piece; empty at the end."""
        if not self._parts:
            return b""
        self._gate.pass_()
        return self._parts.pop(0)


class Gate:
    """Lets one piece through for each ``let``; ``reached`` says that somebody waits."""

    def __init__(self) -> None:
        self._passes, self.reached = threading.Semaphore(0), threading.Event()
        self.opened = 0

    def let(self, pieces: int = 1) -> None:
        """Let some through."""
        self._passes.release(pieces)

    def pass_(self) -> None:
        """Wait to be let through."""
        self.reached.set()
        assert self._passes.acquire(timeout=WAITS_S), "nobody opened the gate"


@contextmanager
def slow_origin(patch: pytest.MonkeyPatch, pieces: int = 4) -> Iterator[Gate]:
    """The folder, read slowly by this process."""
    gate, whole = Gate(), FolderOrigin.open

    def opened(origin: FolderOrigin, path: str) -> Slow:
        gate.opened += 1
        with whole(origin, path) as file:
            return Slow(file.read(), pieces, gate)

    with patch.context() as during:
        during.setattr(FolderOrigin, "open", opened)
        yield gate
        gate.let(1000)  # whoever still waits
