"""How two files are related by their names, and which one comes next.

Nothing of this is stored. Only ASCII counts as a letter or a digit, and text is compared byte by
byte: ``store/redis/lua/parts/predict.lua`` has the same rules.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from enum import StrEnum
from typing import NamedTuple

from cachekeeper.core.keys import folder_of

STREAK = 3  # steps through a series that are told apart
_EXTENSION = re.compile(r"(.+)\.([A-Za-z0-9]+)", re.DOTALL)
_LONGEST_EXTENSION = 8
_NUMBER = re.compile(r"(.*?)([0-9]+)([^0-9]*)", re.DOTALL)
_LONGEST_NUMBER = 9  # digits


class Relation(StrEnum):
    """The class of a relation; one character each, as it is stored."""

    NEXT = "0"  # the next of a numbered series, which was not paged through before
    NEXT_AFTER_1 = "1"
    NEXT_AFTER_2 = "2"
    NEXT_AFTER_3 = "3"  # and more
    STEM = "s"  # the same name, with another extension or in another folder
    FOLDER = "f"
    PARENT = "p"  # the folder of one is just above that of the other
    NONE = "-"
    LISTED = "l"  # comes next in the folder, in natural order
    DEPENDENT = "d"  # declared
    ALBUM = "a"

    @property
    def told(self) -> str:
        """In words; '' for none."""
        if self in SERIES:
            steps = SERIES.index(self)
            return "next in series" + (f", {steps} before" if steps else "")
        return _TOLD[self]


SERIES = (Relation.NEXT, Relation.NEXT_AFTER_1, Relation.NEXT_AFTER_2, Relation.NEXT_AFTER_3)
_TOLD = {
    Relation.STEM: "same stem",
    Relation.FOLDER: "same folder",
    Relation.PARENT: "parent folder",
    Relation.NONE: "",
    Relation.LISTED: "next in folder",
    Relation.DEPENDENT: "dependent",
    Relation.ALBUM: "same album",
}


def natural(name: str) -> tuple[tuple[int, int | str], ...]:
    """A sort key by which numbers inside names count as numbers."""
    parts = re.split(r"(\d+)", name.casefold())
    return tuple((0, int(p)) if p.isdecimal() else (1, p) for p in parts if p)


class Place(NamedTuple):
    """Where a path stands in the natural order."""

    order: tuple[tuple[int, int | str], ...]
    path: str  # names that tie, as IMG_1 and IMG_01, have an order too


def place(path: str) -> Place:
    """The place of a path."""
    return Place(natural(path), path)


def following(path: str, folder: Iterable[str], limit: int) -> list[str]:
    """The next ones of a folder in natural order (IMG_2 before IMG_10), at most ``limit``.

    ``folder`` holds the paths beside ``path``.
    """
    here = place(path)
    return sorted((p for p in folder if place(p) > here), key=place)[:limit]


def extension(path: str) -> str:
    """The short extension of a name in lower case, '' for none."""
    return _parted(path)[1]


def successor(path: str) -> str:
    """The next of a numbered series, whether or not there is one; '' for a name without number."""
    return _moved(path, 1)


def predecessors(path: str) -> list[str]:
    """Those just before in a series, the nearest first, as many as count for a streak."""
    found = (_moved(path, -steps) for steps in range(1, STREAK + 1))
    return [each for each in found if each]


def streak_of(path: str, recent: Collection[str]) -> int:
    """How many steps of the series that leads to a path were just made."""
    found = predecessors(path)
    return next((steps for steps, each in enumerate(found) if each not in recent), len(found))


def relation(path: str, other: str, after: str, streak: int) -> Relation:
    """How another file is related to one whose successor is ``after``.

    ``streak`` says how many steps of the series were just made.
    """
    if other == after:
        return SERIES[streak]
    here, there = folder_of(path), folder_of(other)
    if _parted(path)[0] == _parted(other)[0] != "":
        return Relation.STEM
    if here == there:
        return Relation.FOLDER
    if (here and folder_of(here) == there) or (there and folder_of(there) == here):
        return Relation.PARENT
    return Relation.NONE


def _parted(path: str) -> tuple[str, str]:
    name = path.rpartition("/")[2]
    found = _EXTENSION.fullmatch(name)
    if found is None or len(found[2]) > _LONGEST_EXTENSION:
        return name, ""
    return found[1], found[2].lower()


def _moved(path: str, steps: int) -> str:
    folder, slash, name = path.rpartition("/")
    found = _NUMBER.fullmatch(name)
    if found is None or len(found[2]) > _LONGEST_NUMBER or int(found[2]) + steps < 0:
        return ""
    number = f"{int(found[2]) + steps:0{len(found[2])}d}"
    return f"{folder}{slash}{found[1]}{number}{found[3]}"
