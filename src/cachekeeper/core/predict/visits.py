"""What a device read last, and what was predicted then."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, NamedTuple

from cachekeeper.core.relations import Relation

WINDOW: Final = 16  # requests of a device: what is read within them was read soon
RELATED: Final = 16  # files that a caller may name at an access
TOGETHER: Final = 4  # requests: what is read within them was read after


class Guess(NamedTuple):
    """A prediction whose outcome is not known yet, by what it is counted."""

    relation: Relation
    decile: int
    magnitude: int
    bin: int


@dataclass(slots=True)
class Visit:
    """A file that a device read."""

    path: str
    at: float
    extension: str
    guesses: dict[str, Guess] = field(default_factory=dict)  # by path
