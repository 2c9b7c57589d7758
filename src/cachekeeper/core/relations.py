"""Which files are likely to be read after a file: its neighbours.

The next ones of its folder in natural order (IMG_2 before IMG_10) stand first, since people
page through folders; what devices were seen to read after it comes before all when it has
been seen more than once.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

SEEN_OFTEN = 2


def natural(name: str) -> tuple[tuple[int, int | str], ...]:
    """A sort key by which numbers inside names count as numbers."""
    parts = re.split(r"(\d+)", name.casefold())
    return tuple((0, int(p)) if p.isdecimal() else (1, p) for p in parts if p)


def _place(path: str) -> tuple[object, str]:
    return natural(path), path  # names that tie, as IMG_1 and IMG_01, have an order too


def neighbours(
    path: str, folder: Iterable[str], followers: Mapping[str, float], limit: int
) -> list[str]:
    """At most ``limit`` paths, the likeliest first.

    ``folder`` holds the paths beside ``path``; ``followers`` how often (aged) each path was
    read next.
    """
    often = [p for p, n in followers.items() if n >= SEEN_OFTEN and p != path]
    learnt = sorted(often, key=lambda p: (-followers[p], p))
    here = _place(path)
    later = sorted((p for p in folder if _place(p) > here), key=_place)
    return list(dict.fromkeys([*learnt, *later]))[:limit]
