"""A graph in arrays that processes can share."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

import numpy as np

from cachekeeper.core.graph.adjacency import Rows
from cachekeeper.core.graph.keytable import KeyArrays

SALT_BYTES = 16


@dataclass(frozen=True, slots=True)
class GraphArrays:
    """A graph without changes. An edge u -> v is in ``out`` (of u) and in ``into`` (of v)."""

    keys: KeyArrays
    out: Rows
    into: Rows

    @classmethod
    def of(cls, edges: Iterable[tuple[str, str]]) -> Self:
        """The arrays of some edges."""
        numbers: dict[str, int] = {}
        ends = [numbers.setdefault(key, len(numbers)) for edge in edges for key in edge]
        u, v = np.array(ends, np.int64).reshape(-1, 2).T
        once = np.unique(u << 32 | v)
        u, v = once >> 32, once & 0xFFFFFFFF
        keys = KeyArrays.of(list(numbers), secrets.token_bytes(SALT_BYTES))
        return cls(keys, Rows.of(len(numbers), u, v), Rows.of(len(numbers), v, u))
