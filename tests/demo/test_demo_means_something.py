"""The demo succeeds when all is well, and fails, for the right reason, when a tier is broken."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.demo.broken_reader import BROKEN
from tests.demo.conftest import Checked
from tests.demo.runs import SHORT, Ended, ended

CHECKS = 15
HELD = "every check holds"
#: What is said of a tier that shows content from before an invalidation.
FAULTS = ("still serves the old", "served the old", "is not fresh")
#: Tiers that the broken one can't make wrong: they refuse what is older than its marks.
INNOCENT = {"memory": ("redis", "disk"), "redis": ("disk",), "disk": ("redis",)}


def test_a_whole_morning(checked: Checked) -> None:
    said = checked.run.output
    assert checked.run.status == 0, said
    assert said.count("│ holds │") == CHECKS
    assert "│ fails │" not in said
    assert HELD in said
    assert "Flower: http://127.0.0.1:" in said
    assert checked.run.errors == ""


@pytest.fixture(scope="module")
def broken(small: Path) -> Iterator[dict[str, Future[Ended]]]:
    """A run for each tier that can be broken, side by side: most of a run is waiting."""
    with ThreadPoolExecutor() as pool:
        yield {
            tier: pool.submit(ended, sys.executable, "-m", SHORT, "broken", tier, small)
            for tier in BROKEN
        }


@pytest.mark.parametrize("tier", BROKEN)
def test_a_tier_that_ignores_invalidations_is_noticed(
    tier: str, broken: dict[str, Future[Ended]]
) -> None:
    run = broken[tier].result()
    assert run.status == 1, run.output
    assert HELD not in run.output
    assert "│ fails │ every change was seen fresh │" in run.output
    assert blamed(run.output, tier), run.output
    for other in INNOCENT[tier]:
        assert not blamed(run.output, other), run.output
    assert run.errors == ""


def blamed(output: str, tier: str) -> bool:
    """Whether a tier is said to have served what it must not."""
    return any(f": {tier} {fault}" in output for fault in FAULTS)
