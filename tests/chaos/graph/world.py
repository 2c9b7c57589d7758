"""What is cached: documents, and layers of values that are made from what lies in lower ones.

Which inputs a value has is drawn anew at each load. The truth is a register of versions outside the
cache, one a document. A value tells the versions that it was made from, whatever way they took.
"""

from __future__ import annotations

import mmap
import random
import struct
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, NamedTuple


class Layer(NamedTuple):
    """One namespace: how many keys, how long they live (s), how many inputs they have."""

    name: str
    keys: int
    ttl_s: int
    inputs: tuple[int, int] = (1, 3)


#: Each reads from those before it. Parents expire while what was derived from them lives on.
LAYERS: Final = (
    Layer("doc", 60, 2),
    Layer("a", 30, 1),
    Layer("b", 30, 3),
    Layer("disk", 16, 4),
    Layer("c", 30, 20),
    Layer("late", 12, 5),
    Layer("d", 30, 2),
    Layer("wide", 6, 6, (12, 36)),
    Layer("e", 24, 20),
    Layer("top", 24, 20),
)
ON_DISK: Final = "disk"
#: The class of those whose values live longer when they are read, up to three times 20 s.
LIVELY: Final = "lively"
LIVING: Final = ("b", "disk", "late", "wide")
#: Their values are declared to depend on documents after they were stored.
LATE: Final = "late"
DOCS: Final = LAYERS[0].keys
KEYS: Final = tuple(f"{layer.name}:{i}" for layer in LAYERS for i in range(layer.keys))
NUMBER_OF: Final = {key: number for number, key in enumerate(KEYS)}
_DEPTH_OF: Final = {layer.name: depth for depth, layer in enumerate(LAYERS)}

#: Larger values are not kept in Redis; some of all layers are.
REDIS_VALUE_BYTES: Final = 2048
LARGE: Final = 0.2
#: Where inputs are drawn from: the layer below, any lower layer; else the documents.
BELOW, LOWER = 0.6, 0.3
#: How far from its own place in a layer a value looks for inputs.
NEAR: Final = 2
#: Now and then a value has many inputs.
MANY: Final = 0.03

SLOTS: Final = 1 << 16
DECLARED_KEPT: Final = 24

_HEAD = struct.Struct(">QHH")
_PAIR = struct.Struct(">HI")
_DECLARED = struct.Struct(">IHI")


class Declared(NamedTuple):
    """A document at a version, said to be an input after the fact; ``slot`` tells since when."""

    slot: int
    doc: int
    version: int


class Value(NamedTuple):
    """What a value says of itself."""

    id: int
    docs: Mapping[int, int]  # of each document the oldest version that is in it
    declared: frozenset[Declared]

    def pack(self) -> bytes:
        """As bytes."""
        head = _HEAD.pack(self.id, len(self.docs), len(self.declared))
        pairs = (_PAIR.pack(*pair) for pair in self.docs.items())
        return head + b"".join([*pairs, *(_DECLARED.pack(*each) for each in self.declared)])


def unpack(body: bytes) -> Value:
    """The opposite; what makes a value large is left out."""
    ident, docs, declared = _HEAD.unpack_from(body)
    middle = _HEAD.size + docs * _PAIR.size
    end = middle + declared * _DECLARED.size
    pairs = dict(_PAIR.iter_unpack(body[_HEAD.size : middle]))
    return Value(
        ident, pairs, frozenset(map(Declared._make, _DECLARED.iter_unpack(body[middle:end])))
    )


def made(ident: int, parts: Iterable[Value]) -> Value:
    """What is made from some values."""
    docs: dict[int, int] = {}
    declared: set[Declared] = set()
    for part in parts:
        for doc, version in part.docs.items():
            docs[doc] = min(version, docs.get(doc, version))
        declared |= part.declared
    newest = sorted(declared, key=lambda each: each.version, reverse=True)
    return Value(ident, docs, frozenset(newest[:DECLARED_KEPT]))


def draw(key: str, chance: random.Random) -> list[str]:
    """Inputs for a value of a key, drawn anew each time."""
    name, _, number = key.partition(":")
    depth = _DEPTH_OF[name]
    layer = LAYERS[depth]
    place = int(number) / layer.keys
    low, high = (8, 16) if chance.random() < MANY else layer.inputs
    drawn = []
    for _ in range(chance.randint(low, high)):
        where = chance.random()
        below = depth - 1 if where < BELOW else 0
        if BELOW <= where < BELOW + LOWER:
            below = chance.randrange(depth)
        spread = NEAR if high <= 3 else LAYERS[below].keys
        at = int(place * LAYERS[below].keys) + chance.randint(-spread, spread)
        drawn.append(f"{LAYERS[below].name}:{at % LAYERS[below].keys}")
    return list(dict.fromkeys(drawn))


class Register:
    """Versions of the documents, one writer each, and since when what was declared holds."""

    def __init__(self, path: Path) -> None:
        size = 4 * DOCS + 8 * SLOTS
        if not path.exists():
            path.write_bytes(bytes(size))
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), size)
        view = memoryview(self._map)  # aligned words: no torn reads
        self._versions = view[: 4 * DOCS].cast("I")
        self._since = view[4 * DOCS :].cast("d")

    def read(self, doc: int) -> int:
        """The version of a document now."""
        return self._versions[doc]

    def write(self, doc: int) -> int:
        """Begin the next version; returns it."""
        self._versions[doc] = version = self._versions[doc] + 1
        return version

    def declared(self, slot: int, at: float) -> None:
        """What was declared under a slot holds from now on."""
        self._since[slot] = at

    def holds_since(self, slot: int) -> float:
        """Since when (CLOCK_MONOTONIC); 0 when it does not."""
        return self._since[slot]
