"""Which records of past requests are meant."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from cachekeeper.core.keys import check_key
from cachekeeper.core.receipt import Receipt, Status
from cachekeeper.core.strategy import Consistency, Strategy
from cachekeeper.errors import InvalidInput

Choice = TypeVar("Choice", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class RecordSelection:
    """Conditions that hold together; an empty one holds for every record."""

    statuses: frozenset[Status] = frozenset()
    strategies: frozenset[Strategy] = frozenset()
    consistencies: frozenset[Consistency] = frozenset()
    key: str = ""  # asked for, or affected, as far as the receipt lists it
    name: str = ""  # text in a name that was asked for
    by: str = ""  # text in who asked

    def takes(self, receipt: Receipt) -> bool:
        """Whether a record is among them."""
        return (
            (not self.statuses or receipt.status in self.statuses)
            and (not self.strategies or receipt.strategy in self.strategies)
            and (not self.consistencies or receipt.consistency in self.consistencies)
            and (not self.key or self.key in receipt.names or self.key in receipt.affected)
            and (not self.name or any(self.name in name for name in receipt.names))
            and self.by in receipt.by
        )


def make_selection(
    *,
    status: object = (),
    strategy: object = (),
    consistency: object = (),
    key: object = "",
    name: object = "",
    by: object = "",
) -> RecordSelection:
    """Checked conditions; of states, strategies and levels one or several.

    Raises:
        InvalidInput: one is malformed.
    """
    return RecordSelection(
        statuses=_choices("status", Status, status),
        strategies=_choices("strategy", Strategy, strategy),
        consistencies=_choices("consistency", Consistency, consistency),
        key=check_key(key) if key != "" else "",
        name=_text("name", name),
        by=_text("by", by),
    )


def check_since(value: object) -> float:
    """How many seconds ago. Raises InvalidInput."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e11:
        raise InvalidInput("since_s", value, "seconds, 0 or more")
    return float(value)


def _choices(field: str, kind: type[Choice], given: object) -> frozenset[Choice]:
    if not isinstance(given, Iterable):
        raise InvalidInput(field, given, ", ".join(kind))
    wanted = [given] if isinstance(given, str) else list(given)
    for value in wanted:
        if value not in list(kind):
            raise InvalidInput(field, value, ", ".join(kind))
    return frozenset(map(kind, wanted))


def _text(field: str, value: object) -> str:
    if not isinstance(value, str):
        raise InvalidInput(field, value, "a text")
    return value
