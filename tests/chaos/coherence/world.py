"""What is cached, what it is made from, and the truth that it is checked against.

The truth is a register of versions outside the cache, one a source. A value is the list of the
versions that it was made from, so that whoever reads it sees how old it is. Values that depend on
something which is only declared afterwards have a number of their own beside: what was declared
of one was not declared of the next.
"""

from __future__ import annotations

import mmap
import random
import struct
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Final

HOT: Final = 12
PADS: Final = 105  # more than fold into a group
SOURCES: Final = HOT + PADS
#: Sources with a namespace of their own, so that it can be invalidated as a whole.
ROOMS: Final = {1: "attic:0", 10: "cellar:0"}
#: Sources that are written seldom: what was derived from an old one would be seen for long.
RARE: Final = range(SOURCES - 6, SOURCES)
#: Sources that are written at one level only, and not again before its bound has passed: a strict
#: write would hide that a weaker one had no effect.
CALM: Final = {
    source: ("eventual", "relaxed")[place % 2]
    for place, source in enumerate(range(SOURCES - 12, SOURCES - 6))
}

#: Values above it go to disk; those of ``big`` are larger.
REDIS_VALUE_BYTES: Final = 4096
BIG_BYTES: Final = 6000
#: Parents expire while what was derived from them lives on.
SOURCE_TTL_S: Final = 4.0
#: A loader that takes its time, always or now and then.
LAG_S: Final = 0.02
SLOW, SLOW_S = 0.03, 0.03

_PAIR = struct.Struct("<HQ")
_COUNT = struct.Struct("<H")


def source_key(source: int) -> str:
    """The key that stands for a source."""
    if source < HOT:
        return ROOMS.get(source, f"src:{source}")
    return f"pad:{source - HOT}"


def tag_of(source: int) -> str:
    """The tag that the value of a source has, and no other."""
    return f"of-{source_key(source)}"


def _inputs() -> dict[str, tuple[str, ...]]:
    pads = tuple(source_key(source) for source in range(HOT, SOURCES))
    hot = [source_key(source) for source in range(HOT)]
    made: dict[str, tuple[str, ...]] = {}
    for i in range(8):
        third = (hot[(i + 7) % HOT],) if i % 2 else ()
        made[f"mid:{i}"] = (hot[i], hot[(i + 3) % HOT], *third)
    made["wide:0"] = (*pads, hot[0], hot[5])
    made["wide:1"] = (*pads, "mid:3")
    for i in range(4):
        made[f"top:{i}"] = (f"mid:{2 * i}", f"mid:{2 * i + 1}")
        made[f"big:{i}"] = (hot[3 * i], f"mid:{i}")
    made["top:0"] = (*made["top:0"], "wide:0")
    made["lag:0"], made["lag:1"] = ("top:1",), ("top:2",)
    made |= dict.fromkeys(DECLARED, ()) | {"dep:0": ("mid:1",), "dep:1": (hot[2],)}
    return made | {f"past:{i}": (f"dep:{i}",) for i in range(3)}


#: What a key is made from beside, without reading it through the cache: it is declared afterwards.
DECLARED: Final[Mapping[str, str]] = {
    "dep:0": source_key(6),
    "dep:1": "mid:4",
    **{f"dep:{2 + i}": source_key(source) for i, source in enumerate(RARE)},
}
#: What each derived key is made from.
INPUTS: Final[Mapping[str, tuple[str, ...]]] = _inputs()
SOURCE_OF: Final = {source_key(source): source for source in range(SOURCES)}
#: Every key; a history names them by their place. The hot ones come first.
KEYS: Final = (*(source_key(s) for s in range(HOT)), *INPUTS, *(f"pad:{i}" for i in range(PADS)))
HOT_KEYS: Final = HOT + len(INPUTS)
#: Some are read more often than others, as everywhere; they are of every kind.
POPULAR: Final = range(0, HOT_KEYS, 4)
#: Shares of reads.
OF_POPULAR, OF_COLD = 0.6, 0.01
ON_DISK: Final = tuple(at for at, key in enumerate(KEYS) if key.startswith("big:"))
#: Where a value has its number, by the key that something is declared of.
NUMBER_OF: Final = {key: SOURCES + place for place, key in enumerate(DECLARED)}


@cache
def ancestors(key: str) -> frozenset[int]:
    """The sources that a key is made from, directly or not, as its loaders show by reading."""
    if key in SOURCE_OF:
        return frozenset((SOURCE_OF[key],))
    return frozenset().union(*map(ancestors, INPUTS[key]))


def pick(chance: random.Random) -> int:
    """The place of the key to read next."""
    chosen = chance.random()
    if chosen < OF_POPULAR:
        return chance.choice(POPULAR)
    return chance.randrange(len(KEYS) if chosen > 1 - OF_COLD else HOT_KEYS)


def pause_s(key: str, chance: random.Random) -> float:
    """For how long a loader waits between reading its inputs and returning."""
    lag_s = LAG_S if key.startswith("lag:") else 0.0
    return lag_s + (chance.uniform(0, SLOW_S) if chance.random() < SLOW else 0.0)


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


def compose(key: str, inputs: Iterable[bytes], register: Register) -> bytes:
    """The value of a key: made from its inputs, and from what it reads of the register itself."""
    versions = merge(inputs)
    if key in SOURCE_OF:
        versions[SOURCE_OF[key]] = register.read(SOURCE_OF[key])
    if key in DECLARED:
        versions |= {source: register.read(source) for source in ancestors(DECLARED[key])}
        versions[NUMBER_OF[key]] = random.getrandbits(63)
    body = pack(versions)
    return body.ljust(BIG_BYTES, b"\0") if key.startswith("big:") else body
