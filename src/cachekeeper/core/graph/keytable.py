"""Keys and their numbers: a table in arrays, which processes can share, and what came since."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import chain
from typing import Any, Self, TypeAlias, overload

import numpy as np
import numpy.typing as npt

Ids: TypeAlias = npt.NDArray[np.int64]

#: Keys that are decoded at once: the arrays in between stay in the processor's cache.
CHUNK = 4096
END = "\0"  # no key holds one
WORD = 8


@dataclass(frozen=True, slots=True)
class KeyArrays:
    """A table of n keys.

    The number of a key is its place in ``text``, which holds every key in UTF-8, filled up with
    at least one zero byte to whole words: gathered word by word, keys are decoded many times
    faster. ``hashes`` are in order and ``numbers`` tell which key each belongs to. The salt keeps
    others from choosing keys whose hashes are one.
    """

    text: npt.NDArray[np.uint64]
    starts: npt.NDArray[np.int32]  # n + 1, in words
    hashes: npt.NDArray[np.uint64]
    numbers: npt.NDArray[np.int32]
    salt: bytes

    @classmethod
    def of(cls, keys: Sequence[str], salt: bytes) -> Self:
        """The table of some keys, numbered in their order."""
        data = [key.encode() for key in keys]
        lengths = np.fromiter((len(each) // WORD + 1 for each in data), np.int64, len(data))
        padded = b"".join(each.ljust(len(each) // WORD * WORD + WORD, b"\0") for each in data)
        return cls.made(np.frombuffer(padded, np.uint64), lengths, hashed(keys, salt), salt)

    @classmethod
    def made(
        cls,
        text: npt.NDArray[np.uint64],
        lengths: npt.NDArray[np.int64],
        hashes: npt.NDArray[np.uint64],
        salt: bytes,
    ) -> Self:
        """The table of keys whose lengths (in words) and hashes are known, in their order."""
        starts = np.zeros(len(lengths) + 1, np.int32)
        np.cumsum(lengths, out=starts[1:])
        numbers = np.argsort(hashes).astype(np.int32)
        return cls(text, starts, hashes[numbers], numbers, salt)

    def unsorted_hashes(self) -> npt.NDArray[np.uint64]:
        """The hash of each key, by its number."""
        found = np.empty_like(self.hashes)
        found[self.numbers] = self.hashes
        return found


def hashed(keys: Iterable[str], salt: bytes) -> npt.NDArray[np.uint64]:
    """64 bits for each key, which nobody can foresee who does not know the salt."""
    digests = [blake2b(key.encode(), digest_size=8, key=salt).digest() for key in keys]
    return np.frombuffer(b"".join(digests), np.uint64)


class KeyTable:
    """Numbers of keys, both ways. Keys that the arrays don't hold get the numbers after them."""

    def __init__(self, arrays: KeyArrays) -> None:
        self.arrays = arrays
        self._base = len(arrays.hashes)
        self._later: dict[str, int] = {}
        self._later_keys: list[str] = []

    def __len__(self) -> int:
        return self._base + len(self._later_keys)

    @property
    def later(self) -> Sequence[str]:
        """The keys that the arrays don't hold, in the order of their numbers."""
        return self._later_keys

    def number(self, key: Any) -> int | None:
        """The number of a key; None for what is none, or is not in the table."""
        if not isinstance(key, str):
            return None
        number = int(self.numbers([key])[0])
        return None if number < 0 else number

    def numbers(self, keys: Sequence[str]) -> Ids:
        """The number of each key, -1 where there is none."""
        later = self._later
        found = np.full(len(keys), -1, np.int64)
        if later:
            found[:] = np.fromiter((later.get(key, -1) for key in keys), np.int64, len(keys))
        if not self._base or not len(keys):
            return found
        hashes = hashed(keys, self.arrays.salt)
        at = np.searchsorted(self.arrays.hashes, hashes)
        at[at == self._base] = 0
        guess = np.where(self.arrays.hashes[at] == hashes, self.arrays.numbers[at], -1)
        (likely,) = np.nonzero((found < 0) & (guess >= 0))
        there_are = self.keys(guess[likely])
        if there_are == keys:
            return guess
        for index, there in zip(likely.tolist(), there_are, strict=True):
            if there == keys[index]:
                found[index] = guess[index]
            else:  # two keys of one hash
                found[index] = self._beside(keys[index], int(at[index]))
        return found

    def intern(self, keys: Sequence[str]) -> Ids:
        """The number of each key; those without get one."""
        found = self.numbers(keys)
        for index in np.flatnonzero(found < 0).tolist():
            key = keys[index]
            if key not in self._later:  # it may stand there twice
                self._later[key] = len(self)
                self._later_keys.append(key)
            found[index] = self._later[key]
        return found

    def key(self, number: int) -> str:
        """The key of a number."""
        if number >= self._base:
            return self._later_keys[number - self._base]
        start, end = self.arrays.starts[number : number + 2].tolist()
        return self.arrays.text[start:end].tobytes().rstrip(b"\0").decode()

    def keys(self, numbers: npt.NDArray[Any]) -> list[str]:
        """The key of each number."""
        found: list[str] = []
        for start in range(0, len(numbers), CHUNK):
            found += self._decoded(numbers[start : start + CHUNK])
        return found

    def _decoded(self, numbers: npt.NDArray[Any]) -> list[str]:
        if len(numbers) < 8:
            return [self.key(number) for number in numbers.tolist()]
        inside = numbers < self._base
        if inside.all():
            return self._gathered(numbers)
        known = iter(self._gathered(numbers[inside]))
        return [
            next(known) if number < self._base else self._later_keys[number - self._base]
            for number in numbers.tolist()
        ]

    def _gathered(self, numbers: npt.NDArray[Any]) -> list[str]:
        starts = self.arrays.starts[numbers]
        lengths = self.arrays.starts[numbers + 1] - starts
        text = self.arrays.text[ranges(starts, lengths)]
        return list(filter(None, text.tobytes().decode().split(END)))

    def _beside(self, key: str, at: int) -> int:
        """The number of a key whose hash is another's, too, first found at a place; or -1."""
        hashes = self.arrays.hashes
        while at + 1 < self._base and hashes[at + 1] == hashes[at]:
            at += 1
            if self.key(int(self.arrays.numbers[at])) == key:
                return int(self.arrays.numbers[at])
        return -1


class Keys(Sequence[str]):
    """Keys of a table, after some others: decoded when asked for, so a long list is small."""

    def __init__(
        self, table: KeyTable, numbers: npt.NDArray[Any], first: Sequence[str] = ()
    ) -> None:
        self._table, self._numbers, self._first = table, numbers, list(first)

    def __len__(self) -> int:
        return len(self._first) + len(self._numbers)

    def __iter__(self) -> Iterator[str]:
        parts = range(0, len(self), CHUNK)
        return chain.from_iterable(self[start : start + CHUNK] for start in parts)

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> list[str]: ...

    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, int):
            return self[index : index + 1 or None][0]
        start, end, step = index.indices(len(self))
        first = len(self._first)
        known = self._first[start:end]
        numbers = self._numbers[max(0, start - first) : max(0, end - first)]
        return [*known, *self._table.keys(numbers)][::step]


def ranges(starts: npt.NDArray[Any], lengths: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """All the numbers from each start on, as many as its length, one after the other."""
    ends = np.cumsum(lengths, dtype=np.int64)
    total = int(ends[-1]) if len(ends) else 0
    return np.repeat(starts - ends + lengths, lengths) + np.arange(total)
