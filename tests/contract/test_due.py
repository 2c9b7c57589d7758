"""Work that waits for its next attempt: nothing is lost, nothing is held for ever."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from cachekeeper.client.broker import Broker
from cachekeeper.core.due import Work
from cachekeeper.errors import BrokerUnavailable
from cachekeeper.names import Queue, Task
from cachekeeper.services.due import CLAIM_S, CLAIMED_AT_ONCE, DueSweep
from cachekeeper.store.redis import due as store
from cachekeeper.store.redis.connection import Connection
from cachekeeper.store.redis.dead import RedisDeadLetters
from cachekeeper.store.redis.due import RedisDue
from tests.support import unused_port

WORK = Work(
    id="a",
    task=Task.INVALIDATE,
    queue=Queue.LAZY,
    arguments={"keys": ["file:é"]},
    retries=1,
    first_failed=1.5,
    reason="ValueError: broken",
    expires=None,
)
ODD_IDS = ["plain", "a|b", "*", "[ab]", "\\", "%s", "é", "a b", ""]


@pytest.fixture
def due(connection: Connection) -> RedisDue:
    return RedisDue(connection)


def claim(due: RedisDue, now: float, token: str = "t", at_most: int = 100) -> list[Work]:
    works, unreadable = due.claim(now, token, now + CLAIM_S, at_most)
    assert unreadable == {}
    return works


def bytes_kept(connection: Connection) -> int:
    return int(connection.redis.get(connection.layout.due_bytes) or 0)


@pytest.mark.parametrize("name", ODD_IDS)
def test_it_comes_when_it_is_due_as_it_was_and_goes_when_it_was_sent(
    due: RedisDue, connection: Connection, name: str
) -> None:
    work = replace(WORK, id=name)
    assert due.put(work, 100)
    assert claim(due, 99.9) == []
    assert claim(due, 100) == [work]
    assert due.sent("t", name)
    assert not due.sent("t", name)
    assert (due.waiting(), bytes_kept(connection)) == (0, 0)


def test_what_was_claimed_by_one_that_died_is_due_again(due: RedisDue) -> None:
    due.put(WORK, 100)
    assert claim(due, 100, "dies") == [WORK]
    assert claim(due, 100 + CLAIM_S - 0.1, "next") == []
    assert claim(due, 100 + CLAIM_S, "next") == [WORK]
    assert not due.sent("dies", WORK.id), "its token is void"
    assert due.sent("next", WORK.id)


def test_what_failed_again_before_it_was_forgotten_stays(
    due: RedisDue, connection: Connection
) -> None:
    due.put(WORK, 100)
    claim(due, 100)
    again = replace(WORK, retries=2, reason="and again, and longer")
    due.put(again, 102)
    assert not due.sent("t", WORK.id), "that is not what was sent"
    assert claim(due, 102) == [again]
    assert bytes_kept(connection) == len(again.to_json())


def test_put_twice_it_is_there_once(due: RedisDue, connection: Connection) -> None:
    for _ in range(2):
        assert due.put(WORK, 100)
    assert claim(due, 100) == [WORK]
    assert bytes_kept(connection) == len(WORK.to_json())


def test_the_oldest_comes_first(due: RedisDue) -> None:
    for when in (3, 1, 2):
        due.put(replace(WORK, id=f"w{when}"), when)
    assert [work.id for work in claim(due, 10, at_most=2)] == ["w1", "w2"]
    assert [work.id for work in claim(due, 10, at_most=2)] == ["w3"]


@pytest.mark.parametrize("limit", ["KEPT", "BYTES_KEPT"])
def test_a_full_list_says_so_and_still_takes_the_next_attempt_of_what_it_has(
    due: RedisDue, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    assert due.put(WORK, 100)
    monkeypatch.setattr(store, limit, 1)
    assert not due.put(replace(WORK, id="b"), 100)
    assert due.put(replace(WORK, retries=2), 100)
    assert [(work.id, work.retries) for work in claim(due, 100)] == [("a", 2)]


def test_two_sweeps_never_claim_the_same(due: RedisDue) -> None:
    names = [f"w{i:03}" for i in range(200)]
    for name in names:
        due.put(replace(WORK, id=name), 1)

    def drain(token: str) -> list[str]:
        got: list[str] = []
        while some := claim(due, 100, token, 7):
            got += [work.id for work in some if due.sent(token, work.id)]
        return got

    with ThreadPoolExecutor(3) as sweeps:
        assert sorted(name for got in sweeps.map(drain, "abc") for name in got) == names
    assert due.waiting() == 0


def test_nothing_is_lost_when_the_broker_is_away(due: RedisDue, connection: Connection) -> None:
    due.put(WORK, 1)
    broker = Broker(f"redis://127.0.0.1:{unused_port()}/0")
    letters = RedisDeadLetters(connection)
    sweep = DueSweep(due=due, dead_letters=letters, sender=broker, now=time.time)
    with pytest.raises(BrokerUnavailable):
        sweep.run()
    assert claim(due, time.time() + CLAIM_S) == [WORK]
    assert letters.figures()["kept"] == 0
    broker.close()


def test_what_cannot_be_read_is_buried_and_holds_nothing_up(
    due: RedisDue, connection: Connection
) -> None:
    """As another version may have written it."""
    for name, raw in (("odd", '{"id": "odd"}'), ("odder", "\xff"), ("oddest", "7")):
        connection.redis.zadd(connection.layout.due, {name: 1})
        connection.redis.hset(connection.layout.due_work, name, raw)
        connection.redis.incrby(connection.layout.due_bytes, len(raw.encode()))
    due.put(replace(WORK, expires=2.0), 1)
    letters = RedisDeadLetters(connection)
    broker = Broker(f"redis://127.0.0.1:{unused_port()}/0")  # nothing is to be sent
    sweep = DueSweep(due=due, dead_letters=letters, sender=broker, now=time.time)
    assert sweep.run() == {"sent": 0, "expired": 1, "buried": 3}
    assert {letter.work["id"] for letter in letters.newest()} == {"odd", "odder", "oddest"}
    assert (due.waiting(), bytes_kept(connection)) == (0, 0)
    broker.close()


def test_a_sweep_goes_on_until_nothing_is_due(due: RedisDue, connection: Connection) -> None:
    for i in range(2 * CLAIMED_AT_ONCE + 1):
        due.put(replace(WORK, id=str(i), expires=2.0), 1)
    broker = Broker(f"redis://127.0.0.1:{unused_port()}/0")  # all has expired
    letters = RedisDeadLetters(connection)
    sweep = DueSweep(due=due, dead_letters=letters, sender=broker, now=time.time)
    assert sweep.run()["expired"] == 2 * CLAIMED_AT_ONCE + 1
    broker.close()


def test_whatever_happens_to_it_the_list_agrees_with_a_plain_model(connection: Connection) -> None:
    layout = connection.layout

    class Machine(RuleBasedStateMachine):
        """Attempts fail, sweeps claim and send, some die; time goes on."""

        def __init__(self) -> None:
            super().__init__()
            keys = (layout.due, layout.due_work, layout.due_claims, layout.due_bytes)
            connection.redis.delete(*keys)
            self.due, self.now = RedisDue(connection), 0
            self.model: dict[str, tuple[int, Work, str]] = {}  # when, work, token

        @rule(name=st.sampled_from("abc"), retries=st.integers(0, 200), pause=st.integers(0, 3))
        def fails(self, name: str, retries: int, pause: int) -> None:
            work = replace(WORK, id=name, retries=retries)
            assert self.due.put(work, self.now + pause)
            self.model[name] = (self.now + pause, work, "")

        @rule(token=st.sampled_from("xyz"), hold=st.integers(1, 3))
        def claims(self, token: str, hold: int) -> None:
            works, _ = self.due.claim(self.now, token, self.now + hold, 100)
            ready = {n: work for n, (when, work, _) in self.model.items() if when <= self.now}
            assert {work.id: work for work in works} == ready
            self.model |= {n: (self.now + hold, work, token) for n, work in ready.items()}

        @rule(token=st.sampled_from("xyz"), name=st.sampled_from("abc"))
        def sent(self, token: str, name: str) -> None:
            ours = name in self.model and self.model[name][2] == token
            assert self.due.sent(token, name) == ours
            if ours:
                del self.model[name]

        @rule(by=st.integers(1, 3))
        def time_goes_on(self, by: int) -> None:
            self.now += by

        @invariant()
        def agrees(self) -> None:
            assert self.due.waiting() == len(self.model)
            sizes = sum(len(work.to_json()) for _, work, _ in self.model.values())
            assert bytes_kept(connection) == sizes

    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=25,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
