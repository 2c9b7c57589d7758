"""The judgement, on histories written by hand: what must be found, and what must not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.chaos.coherence.check import judge
from tests.chaos.coherence.history import Edge, How, LineLog, ReadLog, Write
from tests.chaos.coherence.world import (
    DECLARED,
    INPUTS,
    KEYS,
    NUMBER_OF,
    RARE,
    SOURCE_OF,
    ancestors,
    pack,
    source_key,
)

SOURCE = 3
KEY = source_key(SOURCE)
BELOW = next(key for key in INPUTS if key.startswith("top:") and SOURCE in ancestors(key))
BESIDE = next(key for key in INPUTS if key.startswith("mid:") and SOURCE not in ancestors(key))
#: Something is declared of it that is two levels up, and its derived value reads nothing else.
LATE, ON, FROM_LATE = "dep:1", "mid:4", "past:1"
LATE_SOURCE = 7
NUMBER = 12345
CALLED, RETURNED = 100.0, 101.0


class History:
    """A history, a line at a time; what is not said is fresh."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._reads = ReadLog(folder, "m0.1")
        self._writes = LineLog(folder, "w0.1", "writes")
        self._edges = LineLog(folder, "m0.1", "edges")

    def write(self, source: int = SOURCE, version: int = 5, **more: Any) -> None:
        """A strict success of the version, unless said otherwise."""
        usual: dict[str, Any] = {
            "consistency": "strict",
            "called": CALLED,
            "returned": RETURNED,
            "status": "done",
        }
        self._writes.add(Write("w0.1", source, version, **(usual | more)))

    def read(
        self,
        key: str,
        begin: float,
        version: int = 4,
        source: int = SOURCE,
        number: int = NUMBER,
        how: How = How.MEMORY,
    ) -> None:
        """A read that began then, and saw that version of one source, and the newest of others."""
        versions = dict.fromkeys(ancestors(key), 1_000_000)
        for name, place in NUMBER_OF.items():
            if key == name or name in INPUTS.get(key, ()):
                versions |= dict.fromkeys(ancestors(DECLARED[name]), 1_000_000)
                versions[place] = number
        assert source in versions
        versions[source] = version
        self._reads.add(begin, begin + 0.001, KEYS.index(key), how, 0, pack(versions))

    def declare(self, number: int = NUMBER, **more: Any) -> None:
        """It was declared of the value with that number, and fresh."""
        usual: dict[str, Any] = {"called": 89.0, "returned": 90.0, "settled": 90.0, "late": False}
        self._edges.add(Edge("m0.1", LATE, number, **(usual | more)))

    @property
    def stale(self) -> int:
        """How many reads the judgement finds."""
        self._reads.flush()
        return judge(self._folder)[0].stale


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path)


@pytest.mark.parametrize("key", [KEY, BELOW, "wide:1"])
@pytest.mark.parametrize("how", [How.MEMORY, How.DISK, How.LOADER, How.BYPASS, How.FILLED])
def test_whatever_is_older_after_a_strict_success_is_stale(
    history: History, key: str, how: How
) -> None:
    history.write()
    history.read(key, RETURNED + 0.001, how=how)
    assert history.stale == 1


@pytest.mark.parametrize("seed", ["key", "tag", "namespace", "several"])
@pytest.mark.parametrize("strategy", ["immediate", "lazy", "scheduled", "background"])
def test_whichever_way_it_was_invalidated(history: History, seed: str, strategy: str) -> None:
    history.write(seed=seed, strategy=strategy)
    history.read(BELOW, RETURNED + 0.001)
    assert history.stale == 1


def test_what_began_before_or_is_new_or_is_not_made_of_it_is_fresh(history: History) -> None:
    history.write()
    history.read(KEY, RETURNED - 0.001)
    history.read(KEY, RETURNED + 0.001, version=5)
    history.read(BESIDE, RETURNED + 0.001, source=min(ancestors(BESIDE)))
    assert history.stale == 0


@pytest.mark.parametrize(("level", "bound_s"), [("eventual", 5), ("relaxed", 30)])
@pytest.mark.parametrize("strategy", ["immediate", "background"])
def test_a_weaker_level_counts_from_when_it_was_done(
    history: History, level: str, bound_s: float, strategy: str
) -> None:
    history.write(consistency=level, strategy=strategy)
    history.read(BELOW, RETURNED + bound_s - 0.001)
    assert history.stale == 0
    history.read(BELOW, RETURNED + bound_s + 0.001)
    assert history.stale == 1


@pytest.mark.parametrize("status", ["unknown", "failed", "pending", "begun"])
def test_what_did_not_succeed_promises_nothing(history: History, status: str) -> None:
    history.write(status=status)
    history.read(KEY, RETURNED + 100)
    assert history.stale == 0


def test_a_later_success_forbids_the_older_ones_too(history: History) -> None:
    history.write(version=5, status="failed")
    history.write(version=6, called=110.0, returned=111.0)
    history.read(KEY, 110.5, version=4)
    history.read(KEY, 111.1, version=6)
    assert history.stale == 0
    history.read(KEY, 111.1, version=4)
    history.read(KEY, 111.1, version=5)
    assert history.stale == 2


def test_one_that_does_not_cascade_forbids_the_value_of_its_key_alone(history: History) -> None:
    history.write(seed="value")
    history.read(BELOW, RETURNED + 100)
    assert history.stale == 0
    history.read(KEY, RETURNED + 0.001)
    assert history.stale == 1


def test_one_that_does_not_cascade_leaves_what_others_promised(history: History) -> None:
    history.write(version=5)
    history.write(version=6, called=110.0, returned=111.0, seed="value")
    history.read(BELOW, 112.0, version=5)
    assert history.stale == 0
    history.read(BELOW, 112.0, version=4)
    assert history.stale == 1


class TestDeclared:
    """What was said afterwards counts for that value, and from then on."""

    @pytest.mark.parametrize("key", [LATE, FROM_LATE])
    def test_what_was_invalidated_since_is_stale_and_what_is_made_of_it(
        self, history: History, key: str
    ) -> None:
        history.declare()
        history.write(LATE_SOURCE)
        history.read(key, RETURNED - 0.001, source=LATE_SOURCE)
        assert history.stale == 0
        history.read(key, RETURNED + 0.001, source=LATE_SOURCE)
        assert history.stale == 1

    def test_of_another_value_nothing_was_said(self, history: History) -> None:
        history.declare()
        history.write(LATE_SOURCE)
        history.read(LATE, RETURNED + 100, source=LATE_SOURCE, number=NUMBER + 1)
        assert history.stale == 0

    def test_nor_of_any_without_a_declaration(self, history: History) -> None:
        history.write(LATE_SOURCE)
        history.read(LATE, RETURNED + 100, source=LATE_SOURCE)
        assert history.stale == 0

    def test_what_was_invalidated_before_is_so_by_the_declaration(self, history: History) -> None:
        history.write(LATE_SOURCE)
        history.declare(called=102.0, returned=103.0, settled=104.0, late=True)
        history.read(LATE, 108.9, source=LATE_SOURCE)
        assert history.stale == 0
        history.read(LATE, 109.1, source=LATE_SOURCE)
        assert history.stale == 1

    def test_until_that_has_happened_it_is_open(self, history: History) -> None:
        history.write(LATE_SOURCE)
        history.declare(called=102.0, returned=103.0, settled=None, late=True)
        history.read(LATE, 200.0, source=LATE_SOURCE)
        assert history.stale == 0
        history.write(LATE_SOURCE, version=6, called=120.0, returned=121.0)
        history.read(LATE, 120.5, source=LATE_SOURCE)
        assert history.stale == 1, "the read at 200, and not this one"

    def test_one_on_its_way_when_it_was_declared_may_have_come_first(
        self, history: History
    ) -> None:
        history.write(LATE_SOURCE)
        history.declare(called=CALLED + 0.2, returned=CALLED + 0.3, settled=CALLED + 0.3)
        history.read(LATE, RETURNED + 0.1, source=LATE_SOURCE)
        assert history.stale == 0
        history.read(LATE, CALLED + 5.4, source=LATE_SOURCE)
        assert history.stale == 1

    def test_one_that_does_not_cascade_does_not_reach_it(self, history: History) -> None:
        history.declare()
        history.write(LATE_SOURCE, seed="value")
        history.read(LATE, RETURNED + 100, source=LATE_SOURCE)
        assert history.stale == 0

    def test_what_its_loader_read_through_the_cache_needs_no_declaration(
        self, history: History
    ) -> None:
        (above,) = ancestors(LATE)
        history.write(above)
        history.read(LATE, RETURNED + 0.001, source=above)
        assert history.stale == 1


def test_what_is_declared_is_known_in_no_other_way() -> None:
    """Or the declaration would prove nothing."""
    assert ancestors(ON) - {SOURCE} >= {LATE_SOURCE}
    assert DECLARED[LATE] == ON
    assert {SOURCE_OF[on] for on in DECLARED.values() if on in SOURCE_OF} >= set(RARE)
    for key, on in DECLARED.items():
        assert ancestors(on).isdisjoint(ancestors(key))
