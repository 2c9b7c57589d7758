"""Dead letters: each can be found, the newest first; their number and their bytes are bounded."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cachekeeper.core.dead import Kind
from cachekeeper.core.due import Work
from cachekeeper.core.receipt import Receipt, Status, failed_receipt, pending_receipt
from cachekeeper.core.request import SEEDS_A_MARK, make_request
from cachekeeper.names import Task
from cachekeeper.store.redis import dead as store
from cachekeeper.store.redis.connection import Connection
from cachekeeper.store.redis.dead import LONGEST, SHOWN, RedisDeadLetters
from cachekeeper.store.redis.due import RedisDue
from cachekeeper.store.redis.records import RedisReceipts
from tests.contract.conftest import OwnServer

WORK = {"task": Task.INVALIDATE, "id": "é", "arguments": {"keys": ["file:\ud800"]}}


@pytest.fixture
def letters(connection: Connection) -> RedisDeadLetters:
    return RedisDeadLetters(connection)


def reasons(letters: RedisDeadLetters) -> list[str]:
    return [letter.reason for letter in letters.newest()]


def test_a_letter_is_found_as_it_was_buried(letters: RedisDeadLetters) -> None:
    first = letters.bury(WORK, "why", 9, kind=Kind.GAVE_UP, attempts=4, first_seen=5)
    (letter,) = letters.load([first])
    assert (letter.id, letter.work, letter.reason, letter.kind) == (
        first,
        WORK,
        "why",
        Kind.GAVE_UP,
    )
    assert (letter.attempts, letter.first_seen, letter.died) == (4, 5, 9)


def test_what_is_only_buried_is_malformed_and_was_tried_once(letters: RedisDeadLetters) -> None:
    letters.bury({"raw": b"\xff"}, "not even JSON", 9)
    (letter,) = letters.recent(10)
    assert (letter.kind, letter.attempts, letter.first_seen) == (Kind.MALFORMED, 1, 9)
    assert letter.work == {"raw": repr(b"\xff")}


def test_the_newest_come_first_and_no_more_than_asked_for(letters: RedisDeadLetters) -> None:
    for at in range(120):  # more than are read at once
        letters.bury(WORK, str(at), at)
    assert reasons(letters) == [str(at) for at in reversed(range(120))]
    assert [letter.reason for letter in letters.recent(2)] == ["119", "118"]


def test_no_id_is_used_twice(letters: RedisDeadLetters) -> None:
    ids = [letters.bury(WORK, "", 1) for _ in range(3)]
    assert letters.remove([*ids, "4", ids[0]]) == 3
    assert letters.bury(WORK, "", 1) not in ids
    assert letters.load(ids) == []


@pytest.mark.parametrize("bounds", [(3, 10**6), (10**6, 550)])
def test_the_oldest_make_room_and_are_counted(
    letters: RedisDeadLetters, monkeypatch: pytest.MonkeyPatch, bounds: tuple[int, int]
) -> None:
    monkeypatch.setattr(store, "BOUNDS", bounds)
    for at in range(5):
        letters.bury(WORK, str(at), at)
    assert reasons(letters) == ["4", "3", "2"]
    figures = letters.figures()
    assert (figures["kept"], figures["dropped"]) == (3, 2)
    assert figures["bytes"] == sum(len(letter.to_json()) for letter in letters.newest())
    letters.remove([letter.id for letter in letters.newest()])
    assert letters.figures() == {"kept": 0, "bytes": 0, "dropped": 2}


def test_the_largest_request_is_kept_whole_and_what_is_larger_is_cut(
    letters: RedisDeadLetters,
) -> None:
    keys = [f"file:{i:04}{'é' * 251}" for i in range(SEEDS_A_MARK)]
    wire = make_request(id="i" * 64, at=1, keys=keys, reason="é" * 200).to_wire()
    work = {"task": Task.INVALIDATE, "id": "i" * 64, "arguments": wire}
    (whole,) = letters.load([letters.bury(work, "x" * LONGEST, 1, kind=Kind.GAVE_UP)])
    assert (whole.work, whole.kind, len(whole.reason)) == (work, Kind.GAVE_UP, SHOWN)
    work["arguments"] = {"keys": ["k" * LONGEST]}
    (cut,) = letters.load([letters.bury(work, "too long", 1, kind=Kind.GAVE_UP)])
    assert (cut.task, cut.kind) == (Task.INVALIDATE, Kind.MALFORMED)
    assert letters.figures()["bytes"] < LONGEST


def test_a_full_server_takes_letters_and_retries(own_server: OwnServer, deployment: str) -> None:
    connection = Connection(own_server.url, deployment)
    letters, due = RedisDeadLetters(connection), RedisDue(connection)
    work = Work("a", Task.INVALIDATE, "", {}, 1, 1.0, "")
    connection.redis.config_set("maxmemory", 1)
    try:
        (letter,) = letters.load([letters.bury(WORK, "full", 1)])
        assert due.put(work, 1)
        assert due.put(replace(work, retries=2), 1)
        (claimed,), _ = due.claim(1, "t", 2, 1)
        assert claimed.retries == 2
        assert due.sent("t", "a")
        assert letters.remove([letter.id]) == 1
    finally:
        connection.redis.config_set("maxmemory", 0)
        connection.close()


class TestReceiptsThatBeginAnew:
    """What a replay does to them."""

    @pytest.fixture
    def receipts(self, connection: Connection) -> RedisReceipts:
        return RedisReceipts(connection, 600)

    request = make_request(id="a", at=1, keys=["file:a"])

    def done(self) -> Receipt:
        receipt = pending_receipt(self.request)
        receipt.status = Status.DONE
        return receipt

    def test_one_that_failed_is_pending_and_nobody_hears_of_the_failure(
        self, receipts: RedisReceipts
    ) -> None:
        receipts.save([failed_receipt(self.request, "broken", 2)])
        receipts.reopen(pending_receipt(self.request))
        assert receipts.load("a") == pending_receipt(self.request)
        assert receipts.listen("a", 0.05) is None

    def test_one_that_is_gone_is_there_again(self, receipts: RedisReceipts) -> None:
        receipts.reopen(pending_receipt(self.request))
        assert receipts.recent(10) == [pending_receipt(self.request)]

    def test_one_that_is_done_stays(self, receipts: RedisReceipts) -> None:
        receipts.save([self.done()])
        receipts.reopen(pending_receipt(self.request))
        assert receipts.load("a") == self.done()
        assert receipts.listen("a", 1) == self.done()
