"""The graph of a host in a file that its processes map: they share one copy of it in memory."""

from __future__ import annotations

import fcntl
import json
import logging
import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np

from cachekeeper.core.graph.adjacency import Rows
from cachekeeper.core.graph.arrays import GraphArrays
from cachekeeper.core.graph.keytable import KeyArrays
from cachekeeper.core.graph.ports import GraphFile

log = logging.getLogger(__name__)

MAGIC: Final = b"cachekeeper graph 1\n"
ALIGNED: Final = 64
LONGEST_HEADER: Final = 4096
ARRAYS: Final = {
    "text": np.uint64,
    "key_starts": np.int32,
    "hashes": np.uint64,
    "numbers": np.int32,
    "out_starts": np.int32,
    "out_ends": np.int32,
    "into_starts": np.int32,
    "into_ends": np.int32,
}


class GraphFiles:
    """The newest file of one deployment in a folder, replaced in one step."""

    def __init__(self, folder: Path, deployment: str) -> None:
        self._path = folder / f"{deployment}.graph"
        self._lock = folder / f"{deployment}.lock"

    def newer(self, than: GraphFile | None) -> GraphFile | None:
        """The newest file, unless it is the one that is known or there is none."""
        try:
            with self._path.open("rb") as file:
                mark = _mark(file.fileno())
                if than is not None and than.mark == mark:
                    return None
                return _opened(file.fileno(), mark)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError) as error:  # torn by a crash of the machine
            log.warning("graph_file_unreadable path=%s: %s", self._path, error)
            return None

    def write(self, arrays: GraphArrays, position: str, now: float) -> GraphFile:
        """Replace the file, and map the new one; without room for it the arrays stay private."""
        new = self._path.with_suffix(f".{os.getpid()}")
        try:
            with new.open("wb") as file:
                for part in _parts(arrays, position, now):
                    file.write(part)
                file.flush()
                os.fsync(file.fileno())
            new.replace(self._path)
        except OSError as error:
            log.warning("graph_file_not_written path=%s: %s", self._path, error)
            for path in (new, self._path):  # the old file would be taken for the newest for ever
                path.unlink(missing_ok=True)
            return GraphFile(arrays, position, now, mark=None)
        written = self.newer(None)
        return written or GraphFile(arrays, position, now, mark=None)

    @contextmanager
    def building(self) -> Iterator[None]:
        """Only one process of the host builds at a time; the others wait here."""
        with self._lock.open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _mark(descriptor: int) -> tuple[int, int, int]:
    """What tells a file from the one that was there before."""
    stat = os.fstat(descriptor)
    return stat.st_ino, stat.st_mtime_ns, stat.st_size


def _arrays(graph: GraphArrays) -> dict[str, np.ndarray[Any, Any]]:
    keys, out, into = graph.keys, graph.out, graph.into
    found: list[np.ndarray[Any, Any]] = [keys.text, keys.starts, keys.hashes, keys.numbers]
    found += [out.starts, out.ends, into.starts, into.ends]
    return dict(zip(ARRAYS, found, strict=True))


def _parts(graph: GraphArrays, position: str, now: float) -> Iterator[Any]:
    arrays = _arrays(graph)
    header: dict[str, Any] = {"position": position, "built": now, "salt": graph.keys.salt.hex()}
    header["lengths"] = {name: len(array) for name, array in arrays.items()}
    yield (MAGIC + json.dumps(header).encode() + b"\n").ljust(LONGEST_HEADER, b"\0")
    for name, array in arrays.items():
        data = np.ascontiguousarray(array, ARRAYS[name])
        yield data.data
        yield bytes(-data.nbytes % ALIGNED)


def _opened(descriptor: int, mark: tuple[int, int, int]) -> GraphFile:
    mapped = mmap.mmap(descriptor, 0, prot=mmap.PROT_READ)
    begin = mapped[:LONGEST_HEADER]
    if not begin.startswith(MAGIC):
        raise ValueError("not a graph of this version")
    header = json.loads(begin[len(MAGIC) :].partition(b"\n")[0])
    found, at = {}, LONGEST_HEADER
    for name, kind in ARRAYS.items():
        length = header["lengths"][name]
        found[name] = np.frombuffer(mapped, kind, length, at)
        at += found[name].nbytes + -found[name].nbytes % ALIGNED
    salt = bytes.fromhex(header["salt"])
    keys = KeyArrays(found["text"], found["key_starts"], found["hashes"], found["numbers"], salt)
    out = Rows(found["out_starts"], found["out_ends"])
    arrays = GraphArrays(keys, out, Rows(found["into_starts"], found["into_ends"]))
    return GraphFile(arrays, header["position"], header["built"], mark)
