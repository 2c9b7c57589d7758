"""The retention score and the priorities of SPEC 6, number by number."""

from __future__ import annotations

import pytest

from cachekeeper.core.retention import DAY_S, Priority, priority_of, rank, score

NOW = 1_700_000_000.0


@pytest.mark.parametrize(
    ("priority", "weight", "days"),
    [
        (Priority.CRITICAL, 1.0, 30),
        (Priority.HIGH, 0.8, 7),
        (Priority.MEDIUM, 0.5, 3),
        (Priority.LOW, 0.2, 1),
    ],
)
def test_a_priority_has_a_weight_and_a_lifetime(
    priority: Priority, weight: float, days: int
) -> None:
    assert priority.weight == weight
    assert priority.lifetime_s == days * 24 * 3600


def test_there_are_four_priorities() -> None:
    assert [str(p) for p in Priority] == ["critical", "high", "medium", "low"]


@pytest.mark.parametrize("recently", [True, False])
@pytest.mark.parametrize("actively", [True, False])
@pytest.mark.parametrize("system", [True, False])
def test_the_first_that_holds_decides_the_priority(
    system: bool, actively: bool, recently: bool
) -> None:
    expected = "critical" if system else "high" if actively else "medium" if recently else "low"
    found = priority_of(system_file=system, actively_used=actively, recently_accessed=recently)
    assert found == expected


@pytest.mark.parametrize(
    ("idle_days", "accesses", "priority", "expected"),
    [
        (0, 100, Priority.CRITICAL, 1.0),
        (0, 0, Priority.LOW, 0.4 + 0.08),
        (30, 0, Priority.LOW, 0.08),
        (15, 50, Priority.MEDIUM, 0.2 + 0.2 + 0.1),
        (3, 1, Priority.HIGH, 0.36 + 0.32 + 0.002),
        (45, 0, Priority.HIGH, 0.32),  # age stops at 0
        (0, 1000, Priority.CRITICAL, 1.0),  # usage stops at 1
    ],
)
def test_the_score_is_the_weighted_sum_of_age_priority_and_usage(
    idle_days: float, accesses: int, priority: Priority, expected: float
) -> None:
    last = NOW - idle_days * DAY_S
    found = score(last_access=last, now=NOW, accesses=accesses, priority=priority)
    assert found == pytest.approx(expected)


def test_the_rank_differs_from_the_score_by_what_only_now_decides() -> None:
    def gap(last: float, accesses: int, priority: Priority) -> float:
        whole = score(last_access=last, now=NOW, accesses=accesses, priority=priority)
        return rank(last_access=last, accesses=accesses, priority=priority) - whole

    first = gap(NOW, 3, Priority.LOW)
    assert gap(NOW - 20 * DAY_S, 77, Priority.CRITICAL) == pytest.approx(first)


def test_a_moment_of_age_is_not_lost_in_the_digits_of_a_rank() -> None:
    """Ranks are sums of seconds since 1970: a hundredth of a second must still count."""
    earlier = rank(last_access=NOW, accesses=1, priority=Priority.LOW)
    assert rank(last_access=NOW + 0.01, accesses=1, priority=Priority.LOW) > earlier
