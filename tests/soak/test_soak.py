"""The short form: all of it for a few seconds, with faults; claims of time are the long one's.

And the judge: it has to see what it is there for.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.soak import judge
from tests.soak.report import write
from tests.soak.run import Outcome, Plan, run
from tests.soak.samples import Sample, Size, Who

WORKER = Who("worker", 1, 0.0)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_nothing_is_left_and_nothing_older_is_read(tmp_path: Path) -> None:
    plan = Plan(
        seconds=10, warm_s=3, sample_s=1, gap_s=(1.0, 2.0), claims_time=False, forgets=False
    )
    outcome = run(plan, tmp_path)
    assert outcome.wrong == []
    assert outcome.counts["reads checked"] > 100
    assert outcome.counts["strict: done"] > 0
    assert outcome.faults
    page = write(outcome, tmp_path / "report")
    assert "Nothing wrong" in page.read_text()
    for plot in page.parent.glob("*.svg"):
        ElementTree.fromstring(plot.read_text())


def samples(rss: list[int], fds: int = 10) -> list[Sample]:
    """A look every three seconds."""
    return [
        Sample(3.0 * number, {WORKER: Size(bytes_, fds, 3)}) for number, bytes_ in enumerate(rss)
    ]


def test_a_process_that_grows_is_seen_and_one_that_warms_up_is_not() -> None:
    (grew,) = judge.lives(samples([100 + number for number in range(60)]), warm_s=30)
    assert grew.wrong == ["worker (1): memory grew from 0.0 to 0.0 MB"]
    (warmed,) = judge.lives(samples([*range(10), *([100] * 50)]), warm_s=30)
    assert warmed.wrong == []


def test_descriptors_that_leak_are_seen() -> None:
    looks = samples([100] * 60)
    for number, look in enumerate(looks):
        look.processes[WORKER] = Size(100, 10 + number, 3)
    (life,) = judge.lives(looks, warm_s=30)
    assert ["descriptors" in said for said in life.wrong] == [True]


def test_a_process_that_was_restarted_begins_anew_and_a_short_life_says_nothing() -> None:
    looks = samples([100] * 60)
    for look in looks[40:]:
        look.processes = {Who("worker", 2, 120.0): Size(1000, 10, 3)}
    assert [life.who.pid for life in judge.lives(looks, warm_s=30)] == [1]


def test_calls_that_get_slower_are_seen_but_for_what_a_fault_has_shaken() -> None:
    lines = [
        {"at": float(at), "ms": {"read": {"n": 9, "p50": 1.0 + at / 100, "p99": 2.0}}}
        for at in range(200)
    ]
    (slower,) = judge.slower(judge.latencies(lines, [], 10))
    assert slower.startswith("read: p50 went from")
    shaken = [{**line, "ms": {"read": {"n": 9, "p50": 1.0, "p99": 2.0}}} for line in lines[:150]]
    assert judge.slower(judge.latencies([*shaken, *lines[150:]], range(150, 200, 5), 10)) == []


def test_keys_beyond_the_data_are_seen() -> None:
    assert judge.beyond({"value": 100, "log": 1, "receipt": 0}) == []
    assert judge.beyond({"receipt": 1}) == ["1 keys receipt, at most 0"]
    assert judge.beyond({"receipt": 1, "due": 1}, forgotten=False) == ["1 keys due, at most 0"]
    assert judge.beyond({"a new kind": 2}) == ["2 keys a new kind, at most 1"]


def test_what_went_wrong_is_on_the_page(tmp_path: Path) -> None:
    outcome = Outcome(Plan(), wrong=["an orphan: 7 celery"], quiet=Counter())
    assert "an orphan: 7 celery" in write(outcome, tmp_path).read_text()
