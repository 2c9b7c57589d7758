"""Stamps: what a value says of itself, so that a read can tell whether it is fresh.

``epoch`` is a counter that only rises. ``as_of`` is the epoch taken *before* a value was
computed; ``sources`` is everything it was made from: its key, its tags, its namespace and the
sources of its inputs. A value is valid while no source was invalidated after ``as_of``. So an
invalidation need not find all that hangs below it: the dependents know it themselves.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

_OWN = "o:"


def source_of_key(key: str) -> str:
    """The source that stands for one key."""
    return f"k:{key}"


def source_of_value(key: str) -> str:
    """The source that stands for the value of one key alone, not for what is derived from it."""
    return f"{_OWN}{key}"


def source_of_tag(tag: str) -> str:
    """The source that stands for everything with a tag."""
    return f"t:{tag}"


def source_of_namespace(name: str) -> str:
    """The source that stands for a whole namespace."""
    return f"n:{name}"


#: The ``as_of`` of what was read outside the rule: never stored, nor what is made of it.
POISON = -1


@dataclass(frozen=True, slots=True)
class Stamp:
    """Since when a value holds, and what it was made from."""

    as_of: int
    sources: tuple[str, ...]

    def merged(self, other: Stamp) -> Stamp:
        """The stamp of something made from both: the older epoch, all sources."""
        both = dict.fromkeys((*self.sources, *other.sources))
        return Stamp(min(self.as_of, other.as_of), tuple(both))

    def handed_on(self, epoch: int) -> Stamp:
        """What a value found valid at ``epoch`` hands on to what is derived from it."""
        inherited = tuple(s for s in self.sources if not s.startswith(_OWN))
        return Stamp(epoch, inherited)

    def valid(self, marks: Iterable[int | None]) -> bool:
        """Whether none of the marks (the last invalidation of each source) is later."""
        return all(mark is None or mark <= self.as_of for mark in marks)


def own_stamp(key: str, namespace: str, tags: Iterable[str], as_of: int) -> Stamp:
    """The stamp of a value that was derived from nothing cached."""
    sources = [source_of_value(key), source_of_key(key), source_of_namespace(namespace)]
    return Stamp(as_of, (*sources, *map(source_of_tag, tags)))


@dataclass(frozen=True, slots=True)
class Entry:
    """A cached value with its stamp."""

    body: bytes
    stamp: Stamp
    filled: float  # seconds since 1970
    expires: float  # seconds since 1970

    @property
    def size(self) -> int:
        """Bytes of the value."""
        return len(self.body)


@dataclass(frozen=True, slots=True)
class Found:
    """An entry that a tier found valid, and the epoch at which it did."""

    entry: Entry
    epoch: int
