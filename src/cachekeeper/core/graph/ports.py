"""What the graph needs from the world; ``store`` provides it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from cachekeeper.core.graph.arrays import GraphArrays


class EdgeChange(Protocol):
    """What became of the inputs of a key."""

    @property
    def v(self) -> str:
        """The key."""

    @property
    def added(self) -> Sequence[str]:
        """Keys that it was derived from from then on."""

    @property
    def removed(self) -> Sequence[str]:
        """Keys that it was derived from until then."""


class GraphStore(Protocol):
    """The shared dependency graph."""

    def edges(self) -> Iterator[tuple[str, str]]:
        """Every edge; one may come twice while the graph is changed."""

    def position(self) -> str:
        """Where the log of changes stands."""

    def changes(self, after: str) -> tuple[str, Iterable[EdgeChange], bool] | None:
        """The next changes, where they end, and whether there are more; None: some are missing."""

    def prune(self, keys: Iterable[str]) -> list[str]:
        """Forget those of some keys that nothing needs; returns them."""

    def folded(self) -> int:
        """How many values have a group in place of too many sources."""

    def publish(self, statistics: Mapping[str, int | float]) -> None:
        """Keep figures for people."""


@dataclass(frozen=True, slots=True)
class GraphFile:
    """A graph without changes, as it stood at a position of the log.

    ``mark`` tells one file from another, None that no other process shares it; ``built`` is in
    seconds since 1970.
    """

    arrays: GraphArrays
    position: str
    built: float
    mark: object | None


class GraphFiles(Protocol):
    """What the processes of a host share of the graph."""

    def newer(self, than: GraphFile | None) -> GraphFile | None:
        """The newest file, unless it is the one that is known or there is none."""

    def write(self, arrays: GraphArrays, position: str, now: float) -> GraphFile:
        """Replace the file."""

    def building(self) -> AbstractContextManager[None]:
        """Only one process builds at a time."""
