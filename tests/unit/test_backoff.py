"""How long a retry waits: longer each time, never long, never all at once, within its bound."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachekeeper.core.backoff import FIRST_S, LONGEST_S, pause_s
from cachekeeper.core.strategy import CONSISTENCIES, Consistency
from cachekeeper.errors import ConfigurationError
from cachekeeper.settings import Settings, load

retries = st.integers(0, 10_000)
drawn = st.floats(0, 1)
bounds = st.sampled_from([0.0, *(rule.delay_s for rule in CONSISTENCIES.values())])


@given(retries, drawn, bounds)
def test_it_is_in_the_upper_half_of_a_capped_pause(
    retries: int, drawn: float, bound: float
) -> None:
    pause = pause_s(retries, drawn, within_s=bound)
    longest = pause_s(retries, 1, within_s=bound)
    assert 0 < longest / 2 <= pause <= longest <= LONGEST_S
    assert pause_s(0, 1, within_s=bound) <= longest


@given(drawn)
def test_it_doubles(drawn: float) -> None:
    assert pause_s(0, 1) == FIRST_S
    assert pause_s(3, drawn) == 2 * pause_s(2, drawn)


@pytest.mark.parametrize("consistency", Consistency)
def test_retries_fit_within_the_bound_of_their_consistency_with_the_slowest_sweep(
    consistency: Consistency,
) -> None:
    rule = CONSISTENCIES[consistency]
    slowest = load(due_sweep_s=2).due_sweep_s
    pauses = [pause_s(i, 1, within_s=rule.delay_s) + slowest for i in range(rule.retries)]
    assert sum(pauses) <= (rule.delay_s or LONGEST_S)


def test_a_sweep_that_no_bound_could_be_kept_with_is_refused() -> None:
    assert Settings().due_sweep_s == 1
    with pytest.raises(ConfigurationError, match=r"due_sweep_s: .* less than or equal to 2"):
        load(due_sweep_s=2.1)
