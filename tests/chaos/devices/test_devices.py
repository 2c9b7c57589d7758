"""The short form: no byte above the quota, and none left behind."""

from __future__ import annotations

import pytest

from tests.chaos.devices.run import Plan, run
from tests.chaos.devices.world import MIB


@pytest.mark.slow
def test_a_device_whose_readers_are_killed_stays_within_its_quota() -> None:
    plan = Plan(seconds=8, quota=10 * MIB, library=80 * MIB, files=120, readers=16, kill_s=0.7)
    outcome = run(plan)
    assert not outcome.wrong, "\n".join(outcome.wrong[:20])
    assert outcome.kills >= 5
    assert outcome.looks > 50
    assert outcome.counters["evictions"] > 0
    assert outcome.counters["hits"] > 0
