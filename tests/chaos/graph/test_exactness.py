"""The short form: no stale read, no bytes left, and a test that would see them."""

from __future__ import annotations

import pytest

from tests.chaos.graph.removed import REMOVALS
from tests.chaos.graph.run import run
from tests.chaos.graph.site import Plan

#: Missed within seconds: what the short form tries.
QUICK = "edges of fills"


@pytest.mark.slow
def test_a_purge_leaves_no_bytes_of_what_was_there() -> None:
    outcome = run(Plan(seconds=8, producers=2))
    assert not outcome.said, "\n".join(outcome.said)
    assert outcome.verdict.stale == outcome.verdict.left == 0
    assert outcome.verdict.looked_at > 10
    assert outcome.figures["met"]["evictions"] > 20


@pytest.mark.slow
def test_bytes_that_are_left_are_seen() -> None:
    assert QUICK in REMOVALS
    assert run(Plan(seconds=3, producers=2, ablation=QUICK)).verdict.left > 0
