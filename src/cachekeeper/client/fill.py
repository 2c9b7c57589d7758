"""A fenced fill: how a producer stores a value that it made itself."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Self

from cachekeeper.client.reading import ReadThrough, Recipe, made
from cachekeeper.client.sources import Input, collecting
from cachekeeper.core.stamps import Moment


class Fill:
    """Made by ``Namespace.fill``. Read the truth and make the value inside the ``with``.

    The moment is taken when it begins, and what is read through the cache within is noted. So a
    value whose truth changed meanwhile is refused, and not stored over the invalidation.
    """

    def __init__(
        self, key: str, reading: ReadThrough, recipe: Recipe, dump: Callable[[Any], bytes]
    ) -> None:
        self._key, self._reading, self._recipe, self._dump = key, reading, recipe, dump
        self._as_of: Moment
        self._inputs: dict[str, Input]
        self._collecting: AbstractContextManager[dict[str, Input]] = collecting()

    def put(self, value: Any) -> bool:
        """Store the value; False when it is stale already.

        Raises:
            InvalidInput: the namespace's serializer can't write it.
            CacheUnavailable: the server can't be reached; nothing was stored.
        """
        found = made(self._dump(value), self._recipe, self._as_of, self._inputs)
        return self._reading.keep(self._key, found, self._inputs) is not None

    def __enter__(self) -> Self:
        self._as_of = self._reading.now()
        self._inputs = self._collecting.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._collecting.__exit__(*error)
