"""Strongly connected components, in an order."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components

from cachekeeper.core.graph.adjacency import Rows


def components(nodes: int, u: npt.NDArray[Any], v: npt.NDArray[Any]) -> npt.NDArray[np.int32]:
    """The component of each node, numbered so that no edge leads to a higher one.

    scipy numbers them so (it follows Pearce, "An improved algorithm for finding the strongly
    connected components of a directed graph"), but does not promise it.
    """
    rows = Rows.of(nodes, u, v)
    # In doubles, which is what scipy would turn them into.
    matrix = csr_matrix((np.ones(len(u)), rows.ends, rows.starts), shape=(nodes, nodes))
    _, label = connected_components(matrix, directed=True, connection="strong")
    if (label[u] < label[v]).any():
        raise AssertionError("components are not numbered against their edges")
    return np.asarray(label, np.int32)
