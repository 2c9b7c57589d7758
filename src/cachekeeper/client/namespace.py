"""A namespace: keys with one loader, one lifetime and one serializer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from cachekeeper.client.reading import ReadThrough, Recipe
from cachekeeper.client.serializers import Serializer
from cachekeeper.core.keys import check_key, check_tag
from cachekeeper.core.stamps import Entry
from cachekeeper.errors import InvalidInput

Loader = TypeVar("Loader", bound=Callable[[str], Any])


class Namespace:
    """Reads through the tiers; made by ``Cache.namespace``."""

    def __init__(
        self, name: str, reading: ReadThrough, ttl_s: float, serializer: Serializer
    ) -> None:
        self.name = name
        self._reading, self._ttl_s, self._serializer = reading, ttl_s, serializer
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

    def key(self, rest: str) -> str:
        """The full key. Raises InvalidInput."""
        return check_key(f"{self.name}:{rest}")

    def get(self, rest: str) -> Any:
        """The value, made by the loader when no tier holds it fresh.

        Raises:
            InvalidInput: the key is malformed, or the namespace has no loader.
        """
        return self._serializer.load(self.entry(rest).body)

    def entry(self, rest: str) -> Entry:
        """As ``get``, with the stamp and before deserialization."""
        key, loader = self.key(rest), self._loader
        if loader is None:
            raise InvalidInput("namespace", self.name, "a namespace with a loader")
        tags = tuple(check_tag(tag) for tag in self._tags(rest))
        recipe = Recipe(self.name, lambda: self._serializer.dump(loader(rest)), self._ttl_s, tags)
        return self._reading.get(key, recipe)
