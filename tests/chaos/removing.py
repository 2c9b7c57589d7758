"""How a rule of the product is taken out, in one process, to see that a checker misses it.

What is replaced has to be there: when the product changes, a removal that no longer fits fails
loudly.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from cachekeeper.store.redis import connection


def swap(wanted: str, change: Callable[[str], str]) -> None:
    """Run another script in place of one of the product."""
    original = connection.script
    original.cache_clear()

    def swapped(name: str) -> connection.Script:
        found = original(name)
        if name != wanted:
            return found
        source = change(found.source)
        digest = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()
        return connection.Script(digest, source)

    put(connection, "script", swapped)


def put(where: object, name: str, instead: object) -> None:
    """Replace something that has to be there."""
    assert hasattr(where, name), f"not there any more: {name}"
    setattr(where, name, instead)


def without(text: str, instead: str) -> Callable[[str], str]:
    """A change for ``swap``: other text in the place of what has to be there."""

    def change(source: str) -> str:
        assert text in source, f"not in the script any more: {text}"
        return source.replace(text, instead)

    return change
