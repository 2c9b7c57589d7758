"""Stamps: what a value says of itself, so that a read can tell whether it is fresh.

The server's clock of invalidations stands at a *moment*: ``epoch`` is a counter that only rises,
``incarnation`` names the history it counts in; a server that came back without all it knew begins
a new one, in which nothing older is valid. A value carries the moment taken *before* it was
computed and the *sources* it was made from: its key, its tags, its namespace and the sources of its
inputs. It is valid while no source was invalidated after that moment. So an invalidation need not
find all that hangs below: the dependents know it themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

#: Beyond so many, the sources of a value fold into a group that stands for them (SPEC 4).
FOLD_BEYOND: Final = 100


def source_of_key(key: str) -> str:
    """The source that stands for one key."""
    return f"k:{key}"


def source_of_value(key: str) -> str:
    """The source that stands for the value of one key alone, not for what is derived from it."""
    return f"o:{key}"


def source_of_tag(tag: str) -> str:
    """The source that stands for everything with a tag."""
    return f"t:{tag}"


def source_of_namespace(name: str) -> str:
    """The source that stands for a whole namespace."""
    return f"n:{name}"


def group_of(key: str) -> str:
    """The source that stands for all that the value of a key was made from."""
    return f"g:{key}"


def own_sources(key: str) -> tuple[str, str, str]:
    """The sources that every value of a key has; no stamp stores them, since the key tells."""
    return f"o:{key}", f"k:{key}", f"n:{key.partition(':')[0]}"


def named_key(source: str) -> str | None:
    """The key that a source names: the opposite of ``source_of_key`` and ``source_of_value``."""
    return source[2:] if source[:2] in ("k:", "o:") else None


def told(source: str) -> str:
    """A source in words."""
    kind, _, name = source.partition(":")
    return f"{_WORDS.get(kind, kind)} {name}"


_WORDS: Final = {
    "k": "key",
    "o": "the value of",
    "t": "tag",
    "n": "namespace",
    "g": "what was put into",
}


class Moment(NamedTuple):
    """A reading of the clock of invalidations."""

    incarnation: int
    epoch: int


#: What was read outside the rule (server down): never stored, nor what is made of it.
POISON: Final = Moment(0, -1)


class Stamp(NamedTuple):
    """Since when a value holds, and what it was made from beside its own sources."""

    as_of: Moment
    sources: tuple[str, ...] = ()

    def handed_on(self, key: str, found: Moment) -> Stamp:
        """What the value of ``key``, found valid at a moment, hands on to what is made of it."""
        _, of_key, of_namespace = own_sources(key)
        return Stamp(found, (of_key, of_namespace, *self.sources))

    def folded(self, key: str) -> Stamp:
        """The same with one group in place of too many sources."""
        if len(self.sources) <= FOLD_BEYOND:
            return self
        return Stamp(self.as_of, (group_of(key),))


def merged(stamps: Sequence[Stamp]) -> Stamp:
    """The stamp of something made from all of them: the oldest moment, every source."""
    moments = {stamp.as_of for stamp in stamps}
    # Of different histories, at least one has ended.
    as_of = min(moments) if len({moment.incarnation for moment in moments}) == 1 else POISON
    return Stamp(as_of, tuple(dict.fromkeys(s for stamp in stamps for s in stamp.sources)))


def stamp_of_tags(tags: Iterable[str], as_of: Moment) -> Stamp:
    """The stamp of a value that was derived from nothing cached."""
    return Stamp(as_of, tuple(map(source_of_tag, tags)))


class Entry(NamedTuple):
    """A cached value with its stamp."""

    body: bytes
    stamp: Stamp
    filled: float  # seconds since 1970
    expires: float  # seconds since 1970
    load_s: float = 0.0  # how long its loader took; 0: unknown

    @property
    def size(self) -> int:
        """Bytes of the value."""
        return len(self.body)


class Found(NamedTuple):
    """An entry that a tier found valid, and the moment at which it did."""

    entry: Entry
    moment: Moment
