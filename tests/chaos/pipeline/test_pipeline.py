"""The short form: a few hundred requests, each kind of kill once."""

from __future__ import annotations

import pytest

from tests.chaos.pipeline.kills import ALL
from tests.chaos.pipeline.run import Course, run
from tests.chaos.pipeline.site import Plan


@pytest.mark.slow
def test_what_was_accepted_is_done_once_whatever_is_killed() -> None:
    outcome = run(Plan(requests=300), Course(gap_s=(0.4, 1.2)))
    assert outcome.verdict.wrong == {}, outcome.figures
    assert outcome.left == []
    assert outcome.figures["killed"].keys() == {scene.__name__ for scene in ALL}
    assert outcome.verdict.done > 150
