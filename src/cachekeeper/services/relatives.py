"""The files that belong to a file by what is known beside its name: computed, never stored."""

from __future__ import annotations

from typing import Final, Protocol

from cachekeeper.core.keys import file_key, namespace_of
from cachekeeper.core.relations import Relation, following, successor
from cachekeeper.services.folders import Folders

EACH: Final = 2  # files of one kind, or of one album
DEPENDENTS: Final = 8  # looked at, of however many
IN_ALBUM: Final = 500
_FILE: Final = namespace_of(file_key(""))


class Edges(Protocol):
    """What was made from what."""

    def inputs(self, key: str, limit: int | None = None) -> list[str]:
        """What a key was made from."""

    def dependents(self, key: str, limit: int | None = None) -> list[str]:
        """What was made from a key."""


class Relatives:
    """Finds what the predictor can't know from what it has seen."""

    def __init__(self, edges: Edges, folders: Folders) -> None:
        self._edges, self._folders = edges, folders

    def of(self, path: str) -> dict[str, Relation]:
        """A few paths: those made from the file, the next of its albums, the next of its folder.

        An album is what was made from several files, this one among them. The next of a series is
        left to go by its name, which tells more. Raises CacheUnavailable.
        """
        found: dict[str, Relation] = {}
        for key in self._edges.dependents(file_key(path), DEPENDENTS):
            if namespace_of(key) == _FILE:
                found[_path(key)] = Relation.DEPENDENT
                continue
            inputs = self._edges.inputs(key, IN_ALBUM)
            album = [_path(each) for each in inputs if namespace_of(each) == _FILE]
            for other in following(path, album, EACH):
                found.setdefault(other, Relation.ALBUM)
        for other in self._folders.after(path, EACH):
            found.setdefault(other, Relation.LISTED)
        if (after := successor(path)) in found:
            found[after] = Relation.NONE
        return found


def _path(key: str) -> str:
    return key.partition(":")[2]
