"""The three factors of a probability, and their sum.

They estimate from different evidence whether a device that has just read one file reads another
soon. See docs/prefetch.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import floor
from typing import Final, NamedTuple

from cachekeeper.core.predict.rates import Rate
from cachekeeper.core.relations import Relation

SLOTS: Final = 4  # of a day
SLOT_S: Final = 21600

#: Of a class of relations of which nothing is known, as many trials at this rate.
CLASS_PRIOR: Final = 0.1
CLASS_STRENGTH: Final = 4.0


class Factors(NamedTuple):
    """Estimates from 0 to 1."""

    pattern: float
    time: float
    relationship: float

    @property
    def weighted(self) -> float:
        """The sum by SPEC 7. It is no probability before it is calibrated."""
        return 0.4 * self.pattern + 0.3 * self.time + 0.3 * self.relationship


def slot_of(at: float) -> int:
    """The quarter of the day (UTC)."""
    return floor(at / SLOT_S) % SLOTS


def class_rate(rate: Rate) -> float:
    """How often files of a class of relations were read soon."""
    return rate.smoothed(CLASS_PRIOR, CLASS_STRENGTH)


def factors_of(
    counts: Sequence[int],
    reads: Sequence[int],
    slot: int,
    of_class: Rate,
    outcome: Callable[[float], Rate],
) -> Factors:
    """The factors of one file for another.

    ``counts`` and ``reads`` say, by quarter of the day, after how many reads of the one the other
    followed; ``slot`` is the present quarter. ``outcome`` is asked, by the pattern found, what came
    of files like this one.
    """
    rate = class_rate(of_class)
    # The present read was counted and followed by nothing yet.
    pattern = min(1.0, (sum(counts) + 2 * rate) / (max(1, sum(reads)) - 1 + 2))
    time = min(1.0, (counts[slot] + 4 * pattern) / (max(1, reads[slot]) - 1 + 4))
    return Factors(pattern, time, outcome(pattern).smoothed(pattern, 5.0))


def decile(pattern: float) -> int:
    """By what files of a like pattern are counted together: 0 to 10."""
    return int(10 * pattern)


def magnitude(reads: int) -> int:
    """By what files read about as often are counted together: floor(log2)."""
    return max(1, reads).bit_length() - 1


def outcome_name(kind: Relation, pattern: float, reads: int) -> str:
    """By what the outcome of a prediction is counted."""
    return f"{kind}{decile(pattern)}:{magnitude(reads)}"


def class_name(kind: Relation, before: str, after: str) -> str:
    """By what files of a class of relations are counted: with the pair of extensions."""
    return f"{kind}{before}>{after}"


def rest_name(kind: Relation) -> str:
    """By what those are counted that have more pairs of extensions than are told apart."""
    return f"{kind}*"
