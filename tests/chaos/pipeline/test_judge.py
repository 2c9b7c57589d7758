"""The judge sees what it is there to see, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from cachekeeper.core.dead import Kind, Letter
from cachekeeper.core.receipt import Receipt, Status, pending_receipt
from cachekeeper.core.request import make_request
from cachekeeper.store.redis.marks import Marked
from tests.chaos.pipeline.judge import Verdict, judge
from tests.chaos.pipeline.kills import Kill
from tests.chaos.pipeline.sent import Sent

CRASH = Kill("server", at=110.0, over=111.0, is_crash=True)


def sent(at: float = 100.0, *, seeds: int = 1) -> Sent:
    return Sent("r", "client", "immediate", "strict", seeds, at, at + 0.1)


def receipt(status: Status = Status.DONE, *, finished: float = 101.0, into: str = "") -> Receipt:
    made = pending_receipt(make_request(id="r", at=100.0, keys=["photo:a"]))
    made.status, made.marked, made.finished, made.merged_into = status, 100.5, finished, into
    return made


def mark(epoch: int, *sources: str, request: str = "r") -> Marked:
    return Marked(epoch, request, 100.5, "immediate", "", "", sources or ("k:photo:a",))


def verdict(
    asked: Sequence[Sent],
    found: Receipt | None,
    log: Sequence[Marked] = (mark(1),),
    letters: Sequence[Letter] = (),
    kills: Sequence[Kill] = (),
    aof: str = "everysec",
) -> Verdict:
    receipts = {} if found is None else {"r": found}
    return judge(asked, receipts, log, letters, kills, aof=aof, deadline_s=20)


def test_what_is_done_once_is_well() -> None:
    found = verdict([sent(), sent(102.0)], receipt(), kills=[CRASH])
    assert (found.wrong, found.requests, found.done) == ({}, 1, 1)


@pytest.mark.parametrize("found", [None, receipt(Status.PENDING)])
def test_what_has_not_ended_is_lost(found: Receipt | None) -> None:
    assert verdict([sent()], found).wrong == {"lost": ["r"]}


@pytest.mark.parametrize(
    ("at", "aof", "lost"),
    [
        (108.0, "everysec", True),
        (109.5, "everysec", False),
        (109.5, "always", True),
        (110.5, "always", False),  # perhaps answered before the server died
        (112.0, "everysec", True),
    ],
)
def test_what_was_accepted_just_before_a_crash_may_be(at: float, aof: str, lost: bool) -> None:
    found = verdict([sent(at)], None, kills=[CRASH], aof=aof)
    assert (len(found.lost), found.excused) == (int(lost), int(not lost))


def test_what_was_sent_again_was_promised_once_more() -> None:
    assert verdict([sent(109.5), sent(120.0)], None, kills=[CRASH]).lost == ["r"]


def test_a_mark_that_is_missing_is_seen() -> None:
    assert verdict([sent()], receipt(), log=[]).wrong == {"unmarked": ["r"]}
    assert verdict([sent(seeds=1001)], receipt()).wrong == {"unmarked": ["r"]}
    two = [mark(1, "k:a:1"), mark(2, "k:a:2")]
    assert verdict([sent(seeds=1001)], receipt(), log=two).wrong == {}


def test_a_request_that_another_stands_for_has_its_mark_there() -> None:
    merged = receipt(into="other")
    assert verdict([sent()], merged, log=[mark(1, request="other")]).wrong == {}
    assert verdict([sent()], merged, log=[]).wrong == {"unmarked": ["r"]}


def test_a_mark_that_is_set_twice_is_seen_unless_a_new_incarnation_has_begun() -> None:
    assert verdict([sent()], receipt(), log=[mark(1), mark(2)]).wrong == {"twice": ["r"]}
    found = verdict([sent()], receipt(), log=[mark(1), mark(3)])
    assert (found.wrong, found.again) == ({}, 1)


def test_what_failed_has_a_letter() -> None:
    letter = Letter("1", {"arguments": {"id": "r"}}, "why", Kind.GAVE_UP, 4, 100, 101)
    failed = receipt(Status.FAILED)
    assert verdict([sent()], failed).wrong == {"silent": ["r"]}
    found = verdict([sent()], failed, letters=[letter])
    assert (found.wrong, found.dead) == ({}, 1)


def test_what_took_longer_than_the_deadline_after_a_kill_is_late() -> None:
    assert verdict([sent()], receipt(finished=130.0), kills=[CRASH]).wrong == {}
    assert verdict([sent()], receipt(finished=132.0), kills=[CRASH]).wrong == {"late": ["r"]}
