"""The strategies and consistency levels of an invalidation, as tables (SPEC 3.1 and 3.2)."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple, TypeVar

from cachekeeper.errors import InvalidInput
from cachekeeper.names import Queue


class Strategy(StrEnum):
    """When an invalidation is dispatched, and in what batches."""

    IMMEDIATE = "immediate"
    SCHEDULED = "scheduled"
    LAZY = "lazy"
    BACKGROUND = "background"


class Consistency(StrEnum):
    """How soon, how sure and how stubborn an invalidation is."""

    STRICT = "strict"
    EVENTUAL = "eventual"
    RELAXED = "relaxed"


class StrategyRule(NamedTuple):
    """One row of the strategy table."""

    queue: str
    waits: bool  # in a pending set, for beat or a full batch
    purges: bool  # removes bytes at once (lazy leaves them to the next access or the sweep)


class ConsistencyRule(NamedTuple):
    """One row of the consistency table."""

    delay_s: float  # at most, from dispatch until no read returns the old value
    verified: bool  # every node acknowledged before it counts as done
    retries: int  # after the first attempt


STRATEGIES = {
    Strategy.IMMEDIATE: StrategyRule(Queue.IMMEDIATE, waits=False, purges=True),
    Strategy.SCHEDULED: StrategyRule(Queue.SCHEDULED, waits=True, purges=True),
    Strategy.LAZY: StrategyRule(Queue.LAZY, waits=False, purges=False),
    Strategy.BACKGROUND: StrategyRule(Queue.BACKGROUND, waits=True, purges=True),
}

CONSISTENCIES = {
    Consistency.STRICT: ConsistencyRule(0, verified=True, retries=3),
    Consistency.EVENTUAL: ConsistencyRule(5, verified=False, retries=1),
    Consistency.RELAXED: ConsistencyRule(30, verified=False, retries=0),
}

Choice = TypeVar("Choice", bound=StrEnum)


def check_choice(kind: type[Choice], value: object) -> Choice:
    """The member of an enumeration that ``value`` names.

    Raises:
        InvalidInput: none; the message lists the members.
    """
    try:
        return kind(str(value))
    except ValueError:
        raise InvalidInput(kind.__name__.lower(), value, ", ".join(kind)) from None
