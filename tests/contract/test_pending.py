"""Requests that wait for their batch: never lost, never done twice (DESIGN 3, B)."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ClassVar

import pytest

from cachekeeper.core.dead import Kind
from cachekeeper.core.receipt import Status, pending_receipt
from cachekeeper.core.request import Request, make_request
from cachekeeper.core.strategy import Strategy
from cachekeeper.errors import InvalidInput, PendingFull
from cachekeeper.names import Task
from cachekeeper.services.recover import GIVEN_UP
from cachekeeper.services.submit import Submitter
from cachekeeper.settings import Settings
from cachekeeper.store.redis.connection import Connection
from cachekeeper.store.redis.dead import RedisDeadLetters
from cachekeeper.store.redis.marks import RedisMarks
from cachekeeper.store.redis.records import (
    ATTEMPTS,
    RedisPending,
    RedisReceipts,
)
from workers.wiring import Wiring

KEEP_S = 600
#: Printable, so they are ids; and each means something to some part of a server.
ODD_IDS = ["plain", "a|b", "scheduled|token|x", "a*b", "[ab]", "?", "\\", "%s", "é", "a b"]

odd_ids = pytest.mark.parametrize("name", ODD_IDS)


@pytest.fixture
def pending(connection: Connection) -> RedisPending:
    return RedisPending(connection, KEEP_S)


def request(name: str, at: float = 1.0, strategy: Strategy = Strategy.SCHEDULED) -> Request:
    return make_request(id=name, at=at, keys=[f"file:{name}-{at}"], strategy=strategy)


def submit(pending: RedisPending, asked: Request, at_most: int = 1000) -> int:
    """How many wait with it."""
    return pending.submit(pending_receipt(asked), asked, at_most)[0]


def claim(pending: RedisPending, token: str = "t", at_most: int = 100) -> list[str]:
    found = pending.claim(Strategy.SCHEDULED, token, at_most, time.time() + 60)
    return [claimed.id for claimed in found]


def again(first: Request) -> Request:
    """The same request, sent at another time."""
    return dataclasses.replace(first, at=first.at + 100, reason="sent again")


def do(pending: RedisPending, connection: Connection, asked: Request) -> None:
    """Submit a request, and do it as a worker does."""
    submit(pending, asked)
    claim(pending)
    RedisMarks(connection, KEEP_S).mark([asked], time.time())
    assert pending.complete(Strategy.SCHEDULED, "t", [asked.id]) == 1


def overdue(pending: RedisPending) -> tuple[int, list[str]]:
    """As if every claimer had died a while ago: how many wait again, and which were given up."""
    requeued, given_up = pending.requeue_overdue(time.time() + 3600, "too often")
    return requeued, [request.id for request in given_up]


@odd_ids
def test_a_request_is_claimed_as_it_was_submitted(pending: RedisPending, name: str) -> None:
    asked = make_request(
        id=name,
        at=3.25,
        keys=["file:a b", "file:é"],
        tags=["t|1"],
        strategy="scheduled",
        consistency="strict",
        reason="two\nlines",
    )
    assert submit(pending, asked) == 1
    assert pending.claim(Strategy.SCHEDULED, "t", 5, time.time() + 60) == [asked]
    assert pending.waiting(Strategy.SCHEDULED) == 0


def test_a_batch_of_large_requests_is_a_small_one(pending: RedisPending) -> None:
    """All of a batch is in memory at once."""
    keys = [f"file:{number:0100}" for number in range(6000)]
    for name, at in (("a", 1.0), ("b", 2.0), ("c", 3.0)):
        wanted = [f"{key}-{name}" for key in keys]
        submit(pending, make_request(id=name, at=at, keys=wanted, strategy=Strategy.SCHEDULED))
    assert claim(pending) == ["a", "b"]
    assert claim(pending) == ["c"]


def test_the_same_request_twice_waits_once(pending: RedisPending) -> None:
    assert [submit(pending, request("a")) for _ in range(3)] == [1, 1, 1]
    assert claim(pending) == ["a"]
    submit(pending, request("a"))  # redelivered while it is being done
    assert claim(pending) == []


def test_a_request_that_is_done_is_not_done_again(
    pending: RedisPending, connection: Connection
) -> None:
    do(pending, connection, request("a"))
    submit(pending, again(request("a")))
    assert claim(pending) == []


def test_a_request_that_was_given_up_may_be_sent_again(
    pending: RedisPending, connection: Connection
) -> None:
    submit(pending, request("a"))
    claim(pending)
    pending.bury(Strategy.SCHEDULED, "t", "a", {}, "a reason")
    assert submit(pending, request("a")) == 1
    assert claim(pending) == ["a"]
    receipt = RedisReceipts(connection, KEEP_S).load("a")
    assert receipt is not None
    assert receipt.status is Status.PENDING


class TestAnIdUsedTwice:
    """The same work once; for other work it is refused, and never taken for done."""

    OTHERS: ClassVar = {
        "another key": {"keys": ["file:other"]},
        "a tag of that name": {"keys": [], "tags": ["file:a-1.0"]},
        "one key more": {"keys": ["file:a-1.0", "file:2"]},
        "that value alone": {"keys": ["file:a-1.0"], "cascade": False},
    }

    @pytest.fixture(params=OTHERS.values(), ids=list(OTHERS))
    def other(self, request: pytest.FixtureRequest) -> Request:
        return make_request(**{"id": "a", "at": 1.0, "strategy": "scheduled"} | request.param)

    def test_while_it_waits(self, pending: RedisPending, other: Request) -> None:
        submit(pending, request("a"))
        for _ in range(2):
            with pytest.raises(InvalidInput, match=r"^id: 'a'"):
                submit(pending, other)
            submit(pending, again(request("a")))
        assert pending.claim(Strategy.SCHEDULED, "t", 5, time.time() + 60) == [request("a")]

    def test_while_it_is_done(self, pending: RedisPending, other: Request) -> None:
        submit(pending, request("a"))
        claim(pending)
        with pytest.raises(InvalidInput, match=r"^id: 'a'"):
            submit(pending, other)

    def test_after_it_was_done(
        self, pending: RedisPending, connection: Connection, other: Request
    ) -> None:
        do(pending, connection, request("a"))
        with pytest.raises(InvalidInput, match=r"^id: 'a'"):
            submit(pending, other)
        assert claim(pending) == []

    def test_it_is_marked_for_the_first_alone(self, connection: Connection, other: Request) -> None:
        marks = RedisMarks(connection, KEEP_S)
        first = marks.mark([request("a")], 1.0)
        with pytest.raises(InvalidInput, match=r"^id: 'a'"):
            marks.mark([other], 1.0)
        assert marks.mark([again(request("a"))], 2.0) == first == [marks.now()]


def test_the_oldest_are_claimed_first_and_no_more_than_asked_for(pending: RedisPending) -> None:
    for at in (5, 1, 3, 2, 4):
        submit(pending, request(f"r{at}", at))
    assert claim(pending, at_most=2) == ["r1", "r2"]
    assert claim(pending, at_most=2) == ["r3", "r4"]
    assert claim(pending, at_most=2) == ["r5"]


def test_strategies_wait_apart(pending: RedisPending) -> None:
    submit(pending, request("s"))
    submit(pending, request("b", strategy=Strategy.BACKGROUND))
    assert claim(pending) == ["s"]
    assert pending.waiting(Strategy.BACKGROUND) == 1


@odd_ids
def test_only_its_claimer_may_say_that_a_request_is_done(pending: RedisPending, name: str) -> None:
    submit(pending, request(name))
    claim(pending, "mine")
    assert pending.complete(Strategy.SCHEDULED, "theirs", [name]) == 0
    assert pending.complete(Strategy.BACKGROUND, "mine", [name]) == 0
    assert pending.complete(Strategy.SCHEDULED, "mine", [name]) == 1
    assert pending.complete(Strategy.SCHEDULED, "mine", [name]) == 0
    assert overdue(pending) == (0, [])


@odd_ids
def test_what_a_dead_worker_claimed_waits_again_and_its_token_is_void(
    pending: RedisPending, name: str
) -> None:
    submit(pending, request(name))
    claim(pending, "dead")
    assert pending.requeue_overdue(time.time(), "too often") == (0, [])  # not before its time
    assert overdue(pending) == (1, [])
    assert pending.complete(Strategy.SCHEDULED, "dead", [name]) == 0
    assert claim(pending, "next") == [name]
    assert pending.complete(Strategy.SCHEDULED, "next", [name]) == 1


@odd_ids
def test_what_kills_every_worker_is_given_up(pending: RedisPending, name: str) -> None:
    submit(pending, request(name))
    for _ in range(ATTEMPTS):
        assert claim(pending) == [name]
        assert overdue(pending) == (1, [])
    assert claim(pending) == [name]
    assert overdue(pending) == (0, [name])
    assert claim(pending) == []
    assert overdue(pending) == (0, [])


def given_up(pending: RedisPending, deployment: str, server_url: str, state: Path) -> Wiring:
    """A worker that finds a request which was claimed too often, by workers that died."""
    wiring = Wiring(
        Settings(cache_url=server_url, broker_url=server_url, deployment=deployment, state=state)
    )
    submit(pending, request("a"))
    for _ in range(ATTEMPTS):
        claim(pending)
        overdue(pending)
    assert pending.claim(Strategy.SCHEDULED, "dead", 1, time.time() - 1)
    return wiring


def test_whoever_waits_for_what_was_given_up_is_told_and_the_work_is_kept(
    pending: RedisPending, deployment: str, server_url: str, tmp_path: Path
) -> None:
    wiring = given_up(pending, deployment, server_url, tmp_path)
    assert wiring.recovery.requeue() == {"requeued": 0, "buried": 1}
    receipt = wiring.cache.receipt("a").read()
    assert receipt.status is Status.FAILED
    assert receipt.error
    (letter,) = wiring.dead_letters.recent(10)
    assert (letter.reason, letter.kind) == (GIVEN_UP, Kind.GAVE_UP)
    assert (letter.task, letter.names) == (Task.INVALIDATE, ["file:a-1.0"])
    assert (letter.attempts, letter.first_seen) == (ATTEMPTS + 1, 1.0)
    wiring.cache.close()


def test_what_is_given_up_outlives_a_worker_that_dies_while_it_buries_it(
    pending: RedisPending, deployment: str, server_url: str, tmp_path: Path
) -> None:
    wiring = given_up(pending, deployment, server_url, tmp_path)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RedisReceipts, "save", killed)
        with contextlib.suppress(KeyboardInterrupt):
            wiring.recovery.requeue()
    try:
        wiring.recovery.requeue()
        assert wiring.dead_letters.recent(10)
    finally:
        wiring.cache.close()


#: What a stored request may be when another version, or a hand, has written it.
UNREADABLE: dict[str, bytes | None] = {
    "no JSON": b"{",
    "no text": b"\xff\xfe",
    "no object": b"[1, 2]",
    "nothing": b"{}",
    "nested too deep": b"[" * 50_000,
    "a key that is none": b'{"id": "bad", "at": 1, "keys": ["no colon"], "strategy": "scheduled"}',
    "a field of the future": b'{"id": "bad", "at": 1, "keys": ["a:b"], "later": 1}',
    "another's": b'{"id": "other", "at": 1, "keys": ["a:b"], "strategy": "scheduled"}',
    "another strategy's": b'{"id": "bad", "at": 1, "keys": ["a:b"], "strategy": "lazy"}',
    "gone": None,
}


def spoil(connection: Connection, stored: bytes | None) -> None:
    """Make the request of the id "bad" one that can't be read."""
    if stored is None:
        connection.redis.hdel(connection.layout.requests, "bad")
    else:
        connection.redis.hset(connection.layout.requests, "bad", stored)


@pytest.mark.parametrize("stored", UNREADABLE.values(), ids=UNREADABLE)
def test_what_can_not_be_read_is_put_aside_with_its_reason_and_the_rest_goes_on(
    pending: RedisPending, connection: Connection, stored: bytes | None
) -> None:
    for at, name in enumerate(["first", "bad", "last", "later"]):
        submit(pending, request(name, at + 0.5))
    spoil(connection, stored)

    assert claim(pending, at_most=3) == ["first", "last", "later"], "a full batch all the same"

    (letter,) = RedisDeadLetters(connection).recent(10)
    assert "bad" in str(letter.reason)
    receipt = RedisReceipts(connection, KEEP_S).load("bad")
    assert receipt is not None
    assert (receipt.status, receipt.error) == (Status.FAILED, letter.reason)
    assert overdue(pending) == (3, []), "it does not come back"
    assert pending.orphans() == 0


def test_a_batch_of_what_can_not_be_read_holds_up_nothing(
    pending: RedisPending, connection: Connection
) -> None:
    for i in range(5):
        submit(pending, request(f"bad{i}", i))
        connection.redis.hset(connection.layout.requests, f"bad{i}", "{")
    submit(pending, request("good", 9))
    assert claim(pending, at_most=2) == ["good"]
    assert len(RedisDeadLetters(connection).recent(10)) == 5


@pytest.mark.parametrize("stored", UNREADABLE.values(), ids=UNREADABLE)
def test_what_can_not_be_read_and_was_claimed_too_often_is_given_up(
    pending: RedisPending, connection: Connection, stored: bytes | None
) -> None:
    """As a claimer leaves it that dies just then."""
    submit(pending, request("bad"))
    submit(pending, request("good"))
    for _ in range(ATTEMPTS):
        claim(pending)
        overdue(pending)
    claim(pending)
    spoil(connection, stored)
    assert "good" in overdue(pending)[1]
    assert len(RedisDeadLetters(connection).recent(10)) == 2
    assert overdue(pending) == (0, [])


@odd_ids
def test_cleaning_up_forgets_nothing_that_waits_or_is_claimed(
    pending: RedisPending, name: str
) -> None:
    submit(pending, request(name))
    assert pending.orphans() == 0
    claim(pending)
    assert pending.orphans() == 0
    overdue(pending)
    assert claim(pending) == [name]


def test_cleaning_up_forgets_what_belongs_nowhere(
    pending: RedisPending, connection: Connection
) -> None:
    submit(pending, request("kept"))
    submit(pending, request("lost"))
    connection.redis.zrem(connection.layout.pending("scheduled"), "lost")
    assert pending.orphans() == 1
    assert pending.orphans() == 0
    assert claim(pending) == ["kept"]


def test_two_workers_never_claim_the_same_request(pending: RedisPending) -> None:
    names = [f"r{i:03}" for i in range(200)]
    for i, name in enumerate(names):
        submit(pending, request(name, i))

    def drain(token: str) -> list[str]:
        got: list[str] = []
        while some := claim(pending, token, 7):
            got += some
        return got

    with ThreadPoolExecutor(3) as workers:
        claimed = [name for got in workers.map(drain, "abc") for name in got]
    assert sorted(claimed) == names


class TestTwoForTheSame:
    """One piece of work is done once, and each that asked for it has its receipt."""

    def asked(self, name: str, level: str, at: float = 1.0) -> Request:
        keys = ["file:b", "file:a"] if name > "m" else ["file:a", "file:b"]
        fields = {"keys": keys, "strategy": "scheduled", "consistency": level}
        return make_request(id=name, at=at, reason='"consistency": "relaxed"', **fields)

    @pytest.mark.parametrize(
        ("levels", "strictest"),
        [
            (("relaxed", "strict"), "strict"),
            (("strict", "relaxed"), "strict"),
            (("relaxed", "eventual"), "eventual"),
            (("eventual", "eventual"), "eventual"),
        ],
    )
    def test_the_strictest_level_and_the_earliest_turn_count(
        self, pending: RedisPending, levels: tuple[str, str], strictest: str
    ) -> None:
        first, second = (self.asked(n, level) for n, level in zip("az", levels, strict=True))
        assert submit(pending, first) == 1
        assert pending.submit(pending_receipt(second), second, 100) == (1, "a")
        (claimed,) = pending.claim(Strategy.SCHEDULED, "t", 100, time.time() + 60)
        assert (claimed.id, claimed.consistency, claimed.at) == ("a", strictest, 1.0)
        assert claimed.keys == ("file:a", "file:b")
        assert claimed.reason == '"consistency": "relaxed"'

    @odd_ids
    def test_the_second_one_has_the_receipt_of_the_first(
        self, pending: RedisPending, connection: Connection, name: str
    ) -> None:
        receipts = RedisReceipts(connection, KEEP_S)
        for asked in (self.asked(name, "strict"), self.asked("zz", "strict", 2.0)):
            submit(pending, asked)
        (claimed,) = pending.claim(Strategy.SCHEDULED, "t", 100, time.time() + 60)
        receipt = pending_receipt(claimed)
        receipt.status, receipt.epoch = Status.DONE, 7
        receipts.save([receipt])
        found = receipts.load("zz")
        assert found is not None
        assert (found.id, found.merged_into, found.status, found.epoch) == ("zz", name, "done", 7)

    def test_one_that_was_claimed_is_left_alone(self, pending: RedisPending) -> None:
        submit(pending, self.asked("a", "strict"))
        assert claim(pending) == ["a"]
        assert submit(pending, self.asked("b", "strict")) == 1
        assert claim(pending) == ["b"]

    def test_nothing_is_left_of_what_was_done(
        self, pending: RedisPending, connection: Connection
    ) -> None:
        for name in "abz":
            submit(pending, self.asked(name, "strict"))
        pending.complete(Strategy.SCHEDULED, "t", claim(pending))
        assert not connection.redis.exists(
            connection.layout.contents("scheduled"),
            connection.layout.contents_of("scheduled"),
            connection.layout.requests,
        )


class TestNoRoom:
    """When as many wait as may."""

    def submitter(self, pending: RedisPending, *, widens: bool) -> Submitter:
        return Submitter(pending, 2, widens)

    def test_a_request_is_refused_and_what_waits_stays(self, pending: RedisPending) -> None:
        inbox = self.submitter(pending, widens=False)
        assert [inbox.submit(request(name)) for name in "ab"] == [1, 2]
        with pytest.raises(PendingFull, match=r"2 requests wait .* pending_cap"):
            inbox.submit(request("c"))
        assert inbox.submit(request("a")) == 2, "it is there already"
        assert claim(pending) == ["a", "b"]

    def test_or_widened_and_the_receipt_says_so(
        self, pending: RedisPending, connection: Connection
    ) -> None:
        inbox = self.submitter(pending, widens=True)
        for number in range(500):
            inbox.submit(request(f"r{number:03}"))
        assert claim(pending, at_most=1000) == ["r000", "r001", "r002"]
        found = RedisReceipts(connection, KEEP_S).load("r400")
        assert found is not None
        assert found.merged_into == "r002"
