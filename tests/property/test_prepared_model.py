"""Requests of units of work against a plain model: prepared, released, cancelled, overdue, sent."""

from __future__ import annotations

import itertools

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from cachekeeper.core.request import Request, make_request
from cachekeeper.store.redis.connection import Connection
from cachekeeper.store.redis.prepared import RedisPrepared
from tests.property.machines import run_machine
from tests.support import fresh_deployment

#: Deadlines are the server's time: a test knows of those that have passed, and of those far away.
PASSED, FAR = 0.0, 1000.0

some = st.lists(st.integers(0, 5), min_size=1, max_size=3, unique=True)


def test_whatever_happens_the_scripts_agree_with_the_model(server_url: str) -> None:
    with fresh_deployment(server_url) as deployment:
        connection = Connection(server_url, deployment)
        layout, redis = connection.layout, connection.redis
        numbers = itertools.count()

        class Machine(RuleBasedStateMachine):
            """Transactions begin and end, or nobody hears of them again; a sweep comes by."""

            def __init__(self) -> None:
                super().__init__()
                redis.delete(layout.prepared, layout.released, layout.prepared_requests)
                self.store = RedisPrepared(connection)
                self.asked: dict[int, Request] = {}
                self.prepared: dict[str, bool] = {}  # whether its deadline has passed
                self.released: dict[str, bool] = {}  # whether the sweep is to send it now

            def _request(self, number: int) -> Request:
                """Of a slot; an id is used once, as producers do."""
                if number not in self.asked:
                    name = f"r{next(numbers)}"
                    self.asked[number] = make_request(id=name, at=1, keys=[f"file:{name}"])
                return self.asked[number]

            @rule(slots=some, late=st.booleans())
            def prepares(self, slots: list[int], late: bool) -> None:
                for slot in slots:
                    self.asked.pop(slot, None)
                requests = [self._request(slot) for slot in slots]
                self.store.prepare(requests, PASSED if late else FAR)
                self.prepared |= {request.id: late for request in requests}

            @rule(slots=some)
            def commits(self, slots: list[int]) -> None:
                requests = [self._request(slot) for slot in slots]
                to_do = self.store.release(requests)
                assert len(to_do) == len(requests)
                for asked, given in zip(requests, to_do, strict=True):
                    assert given.keys == asked.keys
                    if asked.id in self.prepared:
                        assert given.id == asked.id
                        self.released[given.id] = self.prepared.pop(asked.id)
                    else:  # done before the commit, or released before: it has to be done again
                        assert given.id != asked.id
                        self.released[given.id] = False

            @rule(slots=some)
            def rolls_back(self, slots: list[int]) -> None:
                ids = [self._request(slot).id for slot in slots]
                there = [name for name in ids if self.prepared.pop(name, None) is not None]
                assert self.store.cancel(ids) == len(there)

            @rule(again=st.sampled_from([PASSED, FAR]))
            def the_sweep_comes(self, again: float) -> None:
                late = [name for name, passed in self.prepared.items() if passed]
                for name in late:
                    del self.prepared[name]
                    self.released[name] = True
                due = {name for name, is_due in self.released.items() if is_due}
                assert {wire["id"] for wire in self.store.overdue(100, again)} == due
                self.released |= dict.fromkeys(due, again == PASSED)

            @rule(how_many=st.integers(0, 3))
            def was_sent(self, how_many: int) -> None:
                ids = sorted(self.released)[:how_many]
                self.store.forget(ids)
                for name in ids:
                    del self.released[name]

            @invariant()
            def agrees(self) -> None:
                assert self.store.waiting() == (len(self.prepared), len(self.released))
                kept = {raw.decode() for raw in redis.hkeys(layout.prepared_requests)}
                assert kept == {*self.prepared, *self.released}, "no request without its place"

        run_machine(Machine)
        redis.delete(layout.prepared, layout.released, layout.prepared_requests)
        connection.close()
