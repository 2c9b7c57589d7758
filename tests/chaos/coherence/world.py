"""What is cached, what it is made from, and the truth that it is checked against.

The truth is a register of versions outside the cache, one a source. A value is the list of the
versions that it was made from, so that whoever reads it sees how old it is.
"""

from __future__ import annotations

import mmap
import struct
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

from cachekeeper.client.cache import Cache
from cachekeeper.client.namespace import Namespace

HOT: Final = 12
PADS: Final = 105  # more than fold into a group
SOURCES: Final = HOT + PADS

#: Values above it go to disk; those of ``big`` are larger.
REDIS_VALUE_BYTES: Final = 4096
BIG_BYTES: Final = 6000
#: Parents expire while what was derived from them lives on.
SOURCE_TTL_S: Final = 4.0
LAG_S: Final = 0.02

_PAIR = struct.Struct("<HI")
_COUNT = struct.Struct("<H")


def source_key(source: int) -> str:
    """The key that stands for a source."""
    return f"src:{source}" if source < HOT else f"pad:{source - HOT}"


def tag_of(source: int) -> str:
    """The tag that the value of a source has, and no other."""
    return f"of-{source_key(source)}"


def _inputs() -> dict[str, tuple[str, ...]]:
    pads = tuple(f"pad:{i}" for i in range(PADS))
    made: dict[str, tuple[str, ...]] = {}
    for i in range(8):
        third = (f"src:{(i + 7) % HOT}",) if i % 2 else ()
        made[f"mid:{i}"] = (f"src:{i}", f"src:{(i + 3) % HOT}", *third)
    made["wide:0"] = (*pads, "src:0", "src:5")
    made["wide:1"] = (*pads, "mid:3")
    for i in range(4):
        made[f"top:{i}"] = (f"mid:{2 * i}", f"mid:{2 * i + 1}")
        made[f"big:{i}"] = (f"src:{3 * i}", f"mid:{i}")
    made["top:0"] = (*made["top:0"], "wide:0")
    made["lag:0"], made["lag:1"] = ("top:1",), ("top:2",)
    return made


#: What each derived key is made from.
INPUTS: Final[Mapping[str, tuple[str, ...]]] = _inputs()
_SOURCE_OF: Final = {source_key(source): source for source in range(SOURCES)}
#: Every key; a history names them by their place. The hot ones come first.
KEYS: Final = (*(source_key(s) for s in range(HOT)), *INPUTS, *(f"pad:{i}" for i in range(PADS)))
HOT_KEYS: Final = HOT + len(INPUTS)
ON_DISK: Final = tuple(at for at, key in enumerate(KEYS) if key.startswith("big:"))


def ancestors(key: str) -> frozenset[int]:
    """The sources that a key is made from, directly or not."""
    if key in _SOURCE_OF:
        return frozenset((_SOURCE_OF[key],))
    return frozenset().union(*map(ancestors, INPUTS[key]))


class Register:
    """The versions, shared by all processes; each source has one writer."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_bytes(bytes(4 * SOURCES))
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 4 * SOURCES)
        self._versions = memoryview(self._map).cast("I")  # aligned words: no torn reads

    def read(self, source: int) -> int:
        """The version now."""
        return self._versions[source]

    def write(self, source: int) -> int:
        """Begin the next version; returns it."""
        self._versions[source] = version = self._versions[source] + 1
        return version


def pack(versions: Mapping[int, int]) -> bytes:
    """A value that was made from these versions."""
    pairs = (_PAIR.pack(*pair) for pair in sorted(versions.items()))
    return _COUNT.pack(len(versions)) + b"".join(pairs)


def trim(body: bytes) -> bytes:
    """A value without what makes it large."""
    return body[: _COUNT.size + _PAIR.size * _COUNT.unpack_from(body)[0]]


def unpack(body: bytes) -> dict[int, int]:
    """The versions that a value was made from."""
    return dict(_PAIR.iter_unpack(trim(body)[_COUNT.size :]))


def merge(bodies: Iterable[bytes]) -> dict[int, int]:
    """The versions that something made from all of these reflects: of each source the oldest."""
    merged: dict[int, int] = {}
    for body in bodies:
        for source, version in unpack(body).items():
            merged[source] = min(version, merged.get(source, version))
    return merged


def install(
    cache: Cache, register: Register, dawdle: Callable[[], None]
) -> Callable[[int], Callable[[], bytes]]:
    """Declare the namespaces; the result gives the read of a key by its place in ``KEYS``.

    ``dawdle`` is called by loaders between reading their inputs and returning.
    """
    spaces: dict[str, Namespace] = {}

    def get(key: str) -> bytes:
        name, _, rest = key.partition(":")
        body: bytes = spaces[name].get(rest)
        return body

    def source(name: str) -> None:
        space = spaces[name] = cache.namespace(name, ttl_s=SOURCE_TTL_S if name == "src" else None)
        space.tags(lambda rest: (f"of-{name}:{rest}",))

        @space.loader
        def load(rest: str) -> bytes:
            at = _SOURCE_OF[f"{name}:{rest}"]
            body = pack({at: register.read(at)})
            dawdle()
            return body

    def derived(name: str) -> None:
        space = spaces[name] = cache.namespace(name, on_disk=name == "big")

        @space.loader
        def load(rest: str) -> bytes:
            body = pack(merge([get(key) for key in INPUTS[f"{name}:{rest}"]]))
            dawdle()
            if name == "lag":
                time.sleep(LAG_S)
            return body.ljust(BIG_BYTES, b"\0") if name == "big" else body

    for name in ("src", "pad"):
        source(name)
    for name in ("mid", "top", "wide", "big", "lag"):
        derived(name)

    def reader(at: int) -> Callable[[], bytes]:
        name, _, rest = KEYS[at].partition(":")
        return lambda: spaces[name].get(rest)

    return reader
