"""The two tables of SPEC 3, number by number, as they stand there."""

from __future__ import annotations

import pytest

from cachekeeper.core.strategy import (
    CONSISTENCIES,
    STRATEGIES,
    Consistency,
    Strategy,
    check_choice,
)
from cachekeeper.errors import InvalidInput
from cachekeeper.names import QUEUES
from cachekeeper.settings import Settings

#: strategy, priority, largest batch (None: no pending batch), seconds between flushes.
STRATEGY_TABLE = [
    (Strategy.IMMEDIATE, 1, None, None),
    (Strategy.SCHEDULED, 2, 100, 300),
    (Strategy.LAZY, 3, None, None),
    (Strategy.BACKGROUND, 4, 1000, 60),
]

#: level, seconds until it has spread, verified in every tier, retries after the first attempt.
CONSISTENCY_TABLE = [
    (Consistency.STRICT, 0, True, 3),
    (Consistency.EVENTUAL, 5, False, 1),
    (Consistency.RELAXED, 30, False, 0),
]


def default(name: str) -> object:
    return Settings.model_fields[name].default


def test_the_tables_have_these_rows_and_no_others() -> None:
    assert list(STRATEGIES) == [row[0] for row in STRATEGY_TABLE] == list(Strategy)
    assert list(CONSISTENCIES) == [row[0] for row in CONSISTENCY_TABLE] == list(Consistency)


@pytest.mark.parametrize(("strategy", "priority", "batch", "period"), STRATEGY_TABLE)
def test_a_strategy_has_a_queue_served_by_priority(
    strategy: Strategy, priority: int, batch: int | None, period: int | None
) -> None:
    rule = STRATEGIES[strategy]
    assert rule.queue == f"invalidation.{strategy}"
    assert QUEUES.index(rule.queue) == priority - 1
    assert rule.waits is (period is not None)
    if period is not None:
        assert default(f"{strategy}_flush_s") == period
        assert default(f"{strategy}_batch") == batch


def test_only_lazy_leaves_the_bytes_to_the_next_access_or_the_sweep() -> None:
    assert [s for s in Strategy if not STRATEGIES[s].purges] == [Strategy.LAZY]


@pytest.mark.parametrize(("level", "delay", "verified", "retries"), CONSISTENCY_TABLE)
def test_a_consistency_level_says_how_soon_how_sure_and_how_stubborn(
    level: Consistency, delay: float, verified: bool, retries: int
) -> None:
    assert CONSISTENCIES[level] == (delay, verified, retries)


@pytest.mark.parametrize("kind", [Strategy, Consistency])
def test_a_choice_is_made_by_name(kind: type[Strategy] | type[Consistency]) -> None:
    for member in kind:
        assert check_choice(kind, str(member)) is member
        assert check_choice(kind, member) is member


@pytest.mark.parametrize("kind", [Strategy, Consistency])
@pytest.mark.parametrize("value", ["", "Lazy", "immediate ", "strictly", None, 1, True, ["lazy"]])
def test_a_wrong_choice_is_told_all_the_right_ones(
    kind: type[Strategy] | type[Consistency], value: object
) -> None:
    with pytest.raises(InvalidInput) as refused:
        check_choice(kind, value)
    assert refused.value.field == kind.__name__.lower()
    assert refused.value.value == value
    assert refused.value.allowed == ", ".join(kind)
