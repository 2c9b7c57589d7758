"""The retention score (SPEC 6): what a file on a device is worth; the lowest goes first.

``score = 0.4 * age + 0.4 * priority + 0.2 * usage`` with ``age = max(0, 1 - idle / 30 d)``
and ``usage = min(1, accesses / 100)``.

All ages fall at one rate, so between two accesses the *order* of any two files is fixed
(as long as neither has been idle for 30 days, which their lifetimes see to): ``rank`` leaves
"now" out and gives the same order, so that a sorted set can hold it and a sweep costs
O(evicted log n) instead of a scan.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

DAY_S: Final = 86400.0
HORIZON_S: Final = 30 * DAY_S
WEIGHT_AGE: Final = 0.4
WEIGHT_PRIORITY: Final = 0.4
WEIGHT_USAGE: Final = 0.2
FULL_USAGE: Final = 100


class Priority(StrEnum):
    """How important a file is, with its weight in the score and its lifetime."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"

    @property
    def weight(self) -> float:
        """The factor in the score, 0 to 1."""
        return _WEIGHTS[self]

    @property
    def lifetime_s(self) -> float:
        """How long a device keeps such a file, in seconds."""
        return _LIFETIMES[self]


_WEIGHTS = {
    Priority.CRITICAL: 1.0,
    Priority.HIGH: 0.8,
    Priority.MEDIUM: 0.5,
    Priority.LOW: 0.2,
}
_LIFETIMES = {
    Priority.CRITICAL: 30 * DAY_S,
    Priority.HIGH: 7 * DAY_S,
    Priority.MEDIUM: 3 * DAY_S,
    Priority.LOW: 1 * DAY_S,
}


def priority_of(
    *, system_file: bool = False, actively_used: bool = False, recently_accessed: bool = False
) -> Priority:
    """The priority of a file from what is known of it (SPEC 6)."""
    if system_file:
        return Priority.CRITICAL
    if actively_used:
        return Priority.HIGH
    return Priority.MEDIUM if recently_accessed else Priority.LOW


def score(*, last_access: float, now: float, accesses: int, priority: Priority) -> float:
    """The score as specified, 0 to 1; times in seconds of one clock."""
    age = max(0.0, 1.0 - (now - last_access) / HORIZON_S)
    return WEIGHT_AGE * age + _settled(accesses, priority)


def rank(*, last_access: float, accesses: int, priority: Priority) -> float:
    """A number that orders files as ``score`` does, at any time (see the module)."""
    return WEIGHT_AGE * last_access / HORIZON_S + _settled(accesses, priority)


def _settled(accesses: int, priority: Priority) -> float:
    usage = min(1.0, accesses / FULL_USAGE)
    return WEIGHT_PRIORITY * priority.weight + WEIGHT_USAGE * usage
