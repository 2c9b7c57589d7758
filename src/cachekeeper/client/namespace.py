"""A namespace: keys with one loader, one lifetime and one serializer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any, TypeVar

from cachekeeper.client.fill import Fill
from cachekeeper.client.reading import Lookup, ReadThrough, Recipe
from cachekeeper.client.serializers import Serializer
from cachekeeper.client.sources import is_collecting
from cachekeeper.core.keys import check_key, check_tag
from cachekeeper.core.stamps import POISON, Entry, Found
from cachekeeper.core.ttl import Lifetime
from cachekeeper.errors import InvalidInput

Loader = TypeVar("Loader", bound=Callable[[str], Any])


class Namespace:
    """Reads through the tiers; made by ``Cache.namespace``."""

    def __init__(
        self,
        name: str,
        reading: ReadThrough,
        hit: Callable[[str], Entry | None],
        lifetime: Lifetime,
        serializer: Serializer,
        *,
        watched: bool = False,
    ) -> None:
        self.name = name
        self._prefix = f"{name}:"
        self.reading, self._hit = reading, hit
        self.lifetime, self.serializer = lifetime, serializer
        self.watched = watched  # a hit in memory is counted, or may be one before the end
        self._loader: Callable[[str], Any] | None = None
        self._tags: Callable[[str], tuple[str, ...]] = lambda _: ()

    def loader(self, function: Loader) -> Loader:
        """Decorator: the function that makes a value from the part of the key after the colon.

        What it reads through this cache, it depends on.
        """
        self._loader = function
        return function

    def tags(self, function: Callable[[str], tuple[str, ...]]) -> Callable[[str], tuple[str, ...]]:
        """Decorator: the function that gives the tags of a value, from the same."""
        self._tags = function
        return function

    @property
    def has_loader(self) -> bool:
        """Whether this process can make its values."""
        return self._loader is not None

    def key(self, rest: str) -> str:
        """The full key. Raises InvalidInput."""
        return check_key(f"{self.name}:{rest}")

    def get(self, rest: str) -> Any:
        """The value, made by the loader when no tier holds it fresh.

        Raises:
            InvalidInput: the key is malformed, the namespace has no loader, or the loader reads
                the key that it is to make.
            CacheUnavailable: the server is down, and too many loaders are at work already.
        """
        # What memory holds was checked when it was filled; a loader's reads have to be noted.
        if not is_collecting() and (entry := self._hit(self._prefix + rest)) is not None:
            if self.watched:
                entry = self._watch(rest, entry)
            return self.serializer.load(entry[0])
        return self.serializer.load(self.entry(rest).body)

    def hit(self, rest: str) -> Entry | None:
        """What memory holds, at once; nothing inside a loader, whose reads have to be noted."""
        entry = None if is_collecting() else self._hit(self._prefix + rest)
        if entry is not None and self.watched:
            self.reading.count(self._prefix + rest, entry)
        return entry

    def entry(self, rest: str) -> Entry:
        """As ``get``, with the stamp and before deserialization."""
        return self.reading.get(self.key(rest), lambda: self.recipe(rest))

    def get_many(self, rests: Iterable[str]) -> dict[str, Any]:
        """The values by their names, as ``get``."""
        return {rest: self.get(rest) for rest in dict.fromkeys(rests)}

    def lookup(self, rest: str) -> Lookup:
        """Whether a tier holds the value fresh, which, and how old it is; no loader is called.

        Raises:
            InvalidInput: the key is malformed.
            CacheUnavailable: the server can't be reached.
        """
        return self.reading.lookup(self.key(rest))

    def fill(self, rest: str) -> Fill:
        """Store a value of one's own making: ``with ns.fill(name) as fill: fill.put(value)``.

        Raises:
            InvalidInput: the key is malformed.
        """
        return Fill(self.key(rest), self.reading, self.recipe(rest), self.serializer.dump)

    def warm(self, rests: Iterable[str], *, at_once: int = 4) -> int:
        """Have values ready, ``at_once`` loaders at a time; returns how many were not."""
        cold = [rest for rest in dict.fromkeys(rests) if self.lookup(rest).state != "fresh"]
        with ThreadPoolExecutor(at_once) as pool:
            # In the context of the caller, so that a loader that warms is known to wait.
            warmed = [pool.submit(copy_context().run, self.entry, rest) for rest in cold]
        for each in warmed:
            each.result()
        return len(cold)

    def _watch(self, rest: str, entry: Entry) -> Entry:
        """Count a hit in memory, and make the value anew if it is this reader's turn."""
        key = self._prefix + rest
        self.reading.count(key, entry)
        if self.reading.is_due(key, entry):
            return self.reading.early(key, in_memory(entry), lambda: self.recipe(rest)).entry
        return entry

    def recipe(self, rest: str) -> Recipe:
        """How the value is made and for how long it holds. Raises InvalidInput for a tag."""
        tags = tuple([check_tag(tag) for tag in self._tags(rest)])
        return Recipe(lambda: self._make(rest), self.lifetime.after(self._prefix + rest, 0), tags)

    def _make(self, rest: str) -> bytes:
        if self._loader is None:
            raise InvalidInput("namespace", self.name, "a namespace with a loader")
        return self.serializer.dump(self._loader(rest))


def in_memory(entry: Entry) -> Found:
    """What a hit in memory gave; nobody asked as of when, since no loader reads it."""
    return Found(entry, POISON)
