"""The short form of the checker: every fault once, two at a time."""

from __future__ import annotations

import pytest

from tests.chaos.coherence.check import describe
from tests.chaos.coherence.cluster import Plan
from tests.chaos.coherence.faults import ALL, name_of
from tests.chaos.coherence.run import Course, run


@pytest.mark.slow
def test_no_read_goes_back_in_time() -> None:
    outcome = run(Plan(members=3), Course(quiet_s=0.5, gap_s=(0.0, 0.3), lanes=2))
    shown = [describe(stale, outcome.faults) for stale in outcome.verdict.stale_shown]
    assert outcome.verdict.stale == 0, "\n".join(shown)
    assert {fault.name for fault in outcome.faults} == {name_of(scene) for scene in ALL}
    assert outcome.verdict.reads > 10_000
    assert outcome.verdict.hits > outcome.verdict.reads / 2
    assert outcome.verdict.near > outcome.verdict.reads / 50
