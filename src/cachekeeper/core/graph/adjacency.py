"""The rows of a graph in two arrays (CSR), and the rows that have changed since."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from cachekeeper.core.graph.keytable import ranges

#: From this length on a row is changed by numpy: less a neighbour, more a row.
LONG = 500
NONE: npt.NDArray[np.int32] = np.empty(0, np.int32)


@dataclass(frozen=True, slots=True)
class Rows:
    """Compressed sparse rows: those of node i are ``ends[starts[i]:starts[i + 1]]``."""

    starts: npt.NDArray[np.int32]
    ends: npt.NDArray[np.int32]

    @classmethod
    def of(cls, nodes: int, u: npt.NDArray[Any], v: npt.NDArray[Any]) -> Self:
        """The rows of the edges from each u to its v."""
        starts = np.zeros(nodes + 1, np.int32)
        np.cumsum(np.bincount(u, minlength=nodes), out=starts[1:])
        return cls(starts, v[np.argsort(u, kind="stable")].astype(np.int32, copy=False))

    def __len__(self) -> int:
        return len(self.starts) - 1


class Adjacency:
    """The neighbours of each node in one direction."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self.changed: dict[int, npt.NDArray[np.int32]] = {}
        self._is_changed = np.zeros(len(rows), bool)
        self._size = len(rows.ends)

    @property
    def edges(self) -> int:
        """How many there are."""
        return self._size

    def row(self, node: int) -> npt.NDArray[np.int32]:
        """The neighbours of a node."""
        if (found := self.changed.get(node)) is not None:
            return found
        if node >= len(self._rows):
            return NONE
        start, end = self._rows.starts[node : node + 2].tolist()
        return self._rows.ends[start:end]

    def from_all(
        self, nodes: npt.NDArray[Any]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
        """All edges from some nodes: for each the place of its node among them, and its end."""
        if not self.changed:
            return self._inside(nodes, None)
        same = np.flatnonzero(self._same(nodes))
        others = np.flatnonzero(~self._same(nodes))
        u, v = self._inside(nodes[same], same)
        rows = [self.row(node) for node in nodes[others].tolist()]
        lengths = [len(row) for row in rows]
        return np.concatenate([u, np.repeat(others, lengths)]), np.concatenate([v, *rows])

    def degrees(self, nodes: int) -> npt.NDArray[np.int64]:
        """How many neighbours each of the first nodes has."""
        found = np.zeros(nodes, np.int64)
        found[: len(self._rows)] = np.diff(self._rows.starts)
        for node, row in self.changed.items():
            found[node] = len(row)
        return found

    def change(self, changes: Mapping[int, Mapping[int, bool]]) -> None:
        """Add (True) and remove (False) neighbours: node -> neighbour -> which of the two."""
        for node, wanted in changes.items():
            row = self.row(node)
            new = _changed_long(row, wanted) if len(row) > LONG else _changed(row, wanted)
            self._size += len(new) - len(row)
            self.changed[node] = new
            if node < len(self._is_changed):
                self._is_changed[node] = True

    def all(self) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
        """Every edge: its node and its end."""
        u = np.repeat(np.arange(len(self._rows), dtype=np.int32), np.diff(self._rows.starts))
        if not self.changed:
            return u, self._rows.ends
        same = ~self._is_changed[u]
        lengths = [len(row) for row in self.changed.values()]
        others = np.repeat(_array(self.changed), lengths)
        ends = [self._rows.ends[same], *self.changed.values()]
        return np.concatenate([u[same], others]), np.concatenate(ends)

    def _same(self, nodes: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
        """Which nodes have the row that the arrays have."""
        inside: npt.NDArray[np.bool_] = nodes < len(self._rows)
        if inside.all():
            same: npt.NDArray[np.bool_] = ~self._is_changed[nodes]
            return same
        inside[inside] = ~self._is_changed[nodes[inside]]
        return inside

    def _inside(
        self, nodes: npt.NDArray[Any], places: npt.NDArray[np.int64] | None
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
        starts = self._rows.starts[nodes]
        lengths = self._rows.starts[nodes + 1] - starts
        u = np.repeat(np.arange(len(nodes)) if places is None else places, lengths)
        return u, self._rows.ends[ranges(starts, lengths)]


def _changed(row: npt.NDArray[np.int32], wanted: Mapping[int, bool]) -> npt.NDArray[np.int32]:
    new = dict.fromkeys(row.tolist())
    for neighbour, there in wanted.items():
        if there:
            new[neighbour] = None
        else:
            new.pop(neighbour, None)
    return np.fromiter(new, np.int32, len(new))


def _changed_long(row: npt.NDArray[np.int32], wanted: Mapping[int, bool]) -> npt.NDArray[np.int32]:
    left = row[~np.isin(row, _array(wanted))]
    return np.concatenate([left, _array([n for n, there in wanted.items() if there])])


def _array(numbers: Collection[int]) -> npt.NDArray[np.int32]:
    return np.fromiter(numbers, np.int32, len(numbers))
