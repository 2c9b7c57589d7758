"""A neighbourhood as a tree of text: each key once with all that hangs below it."""

from __future__ import annotations

from collections.abc import Iterator

from cachekeeper.core.graph.neighbourhood import Neighbourhood


def tree(near: Neighbourhood) -> Iterator[str]:
    """The lines of a neighbourhood that was taken downward.

    A key that several others lead to is expanded where it is nearest to the root, and elsewhere
    only named. What was left out below a key is counted in its last line.
    """
    yield near.key
    yield from _below(near, near.key, (), "", {near.key})


def _below(
    near: Neighbourhood, key: str, above: tuple[str, ...], indent: str, printed: set[str]
) -> Iterator[str]:
    """The lines below a key; its depth is that of the neighbourhood at most."""
    path = (*above, key)
    children = sorted(near.graph.successors(key))
    more = near.graph.nodes[key]["more_dependents"]
    for child in children:
        last = child == children[-1] and not more
        branch, below = ("└── ", "    ") if last else ("├── ", "│   ")
        if child in path:
            yield f"{indent}{branch}{child}  (a cycle: see above)"
        elif child in printed:
            yield f"{indent}{branch}{child}  (see above)"
        elif near.graph.nodes[child]["steps"] < len(path):
            yield f"{indent}{branch}{child}  (see below)"
        else:
            printed.add(child)
            yield f"{indent}{branch}{child}"
            yield from _below(near, child, path, indent + below, printed)
    if more:
        yield f"{indent}└── … {more:,} more"
