"""The short form: no byte above the quota, and none left behind."""

from __future__ import annotations

import pytest

from tests.chaos.devices.run import Plan, run
from tests.chaos.devices.world import MIB


@pytest.mark.slow
def test_a_device_whose_readers_are_killed_stays_within_its_quota() -> None:
    plan = Plan(10, quota=10 * MIB, library=60 * MIB, files=500, readers=16)
    outcome = run(plan)
    assert not outcome.wrong, "\n".join(outcome.wrong[:20])
    assert outcome.kills >= 5
    assert outcome.looks > 50
    assert outcome.counters["evictions"] > 0
    assert outcome.counters["hits"] > 0
