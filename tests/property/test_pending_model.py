"""Requests that wait, are claimed, completed, requeued and given up, against a plain model."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from cachekeeper.core.receipt import pending_receipt
from cachekeeper.core.request import Request, make_request
from cachekeeper.core.strategy import Consistency, Strategy
from cachekeeper.errors import InvalidInput
from cachekeeper.store.redis.connection import Connection
from cachekeeper.store.redis.records import ATTEMPTS, RedisPending
from tests.property.machines import run_machine
from tests.support import fresh_deployment

WAITING = (Strategy.SCHEDULED, Strategy.BACKGROUND)
LEVELS = (Consistency.RELAXED, Consistency.EVENTUAL, Consistency.STRICT)
AT_MOST = 4

names = st.sampled_from(["a", "b", "c", "d", "e|f", "é"])
tokens = st.sampled_from("xyz")
strategies = st.sampled_from(WAITING)


@dataclass
class One:
    """A request that waits or is claimed."""

    key: str
    strategy: Strategy
    level: Consistency
    since: float
    stands: bool = True  # for others of its content: until it is claimed
    attempts: int = 0
    claim: tuple[str, float] | None = None  # token and deadline


@dataclass
class Model:
    """What there is."""

    known: dict[str, One] = field(default_factory=dict)

    def waiting(self, strategy: Strategy) -> list[str]:
        found = [
            (one.since, name.encode(), name)
            for name, one in self.known.items()
            if one.strategy is strategy and one.claim is None
        ]
        return [name for _, _, name in sorted(found)]

    def standing_for(self, key: str, strategy: Strategy) -> str | None:
        for name in self.waiting(strategy):
            if self.known[name].key == key and self.known[name].stands:
                return name
        return None


def test_whatever_happens_the_scripts_agree_with_the_model(server_url: str) -> None:
    with fresh_deployment(server_url) as deployment:
        connection = Connection(server_url, deployment)
        runs = itertools.count()

        class Machine(RuleBasedStateMachine):
            """Producers submit, workers claim, complete or die; time goes on."""

            def __init__(self) -> None:
                super().__init__()
                next(runs)
                layout = connection.layout
                if found := list(connection.redis.scan_iter(match=f"{layout.prefix}*")):
                    connection.redis.delete(*found)
                connection.redis.hset(layout.clock, mapping={"incarnation": 1, "epoch": 0})
                self.pending, self.model, self.now = RedisPending(connection, 60), Model(), 1.0
                self.buried = 0

            @rule(
                name=names,
                key=st.sampled_from(["file:1", "file:2", "file:3"]),
                strategy=strategies,
                level=st.sampled_from(LEVELS),
                at=st.integers(0, 9),
            )
            def submits(
                self, name: str, key: str, strategy: Strategy, level: Consistency, at: int
            ) -> None:
                asked = make_request(
                    id=name, at=at, keys=[key], strategy=strategy, consistency=level
                )
                known, model = self.model.known.get(name), self.model
                if known is not None and known.key != key:
                    with pytest.raises(InvalidInput, match=r"^id: "):
                        self._submit(asked)
                    return
                waiting, stands = self._submit(asked)
                first = model.standing_for(key, strategy)
                if known is not None:
                    assert stands == name
                elif first is not None:
                    assert stands == first
                    model.known[first].level = max(
                        model.known[first].level, level, key=LEVELS.index
                    )
                elif len(model.waiting(strategy)) >= AT_MOST:
                    assert stands == ""
                else:
                    assert stands == name
                    model.known[name] = One(key, strategy, level, at)
                assert waiting == len(model.waiting(strategy))

            def _submit(self, asked: Request) -> tuple[int, str]:
                return self.pending.submit(pending_receipt(asked), asked, AT_MOST)

            @rule(strategy=strategies, token=tokens, most=st.integers(1, 5), hold=st.integers(1, 4))
            def claims(self, strategy: Strategy, token: str, most: int, hold: int) -> None:
                found = self.pending.claim(strategy, token, most, self.now + hold)
                wanted = self.model.waiting(strategy)[:most]
                assert [request.id for request in found] == wanted
                for request in found:
                    one = self.model.known[request.id]
                    assert (request.keys, request.consistency) == ((one.key,), one.level)
                    one.claim, one.stands = (token, self.now + hold), False

            @rule(strategy=strategies, token=tokens, some=st.lists(names, max_size=4))
            def completes(self, strategy: Strategy, token: str, some: list[str]) -> None:
                done = [
                    name
                    for name in dict.fromkeys(some)
                    if (one := self.model.known.get(name)) is not None
                    and one.strategy is strategy
                    and one.claim is not None
                    and one.claim[0] == token
                ]
                assert self.pending.complete(strategy, token, some) == len(done)
                for name in done:
                    del self.model.known[name]

            @rule(by=st.integers(1, 3))
            def time_goes_on(self, by: int) -> None:
                self.now += by

            @rule()
            def the_reaper_comes(self) -> None:
                late = [
                    name
                    for name, one in self.model.known.items()
                    if one.claim is not None and one.claim[1] <= self.now
                ]
                requeued, given_up = self.pending.requeue_overdue(self.now, "a reason")
                dead = set()
                for name in late:
                    one = self.model.known[name]
                    one.attempts, one.claim, one.since = one.attempts + 1, None, self.now
                    if one.attempts > ATTEMPTS:
                        del self.model.known[name]
                        dead.add(name)
                assert {request.id for request in given_up} == dead
                assert requeued == len(late) - len(dead)
                self.buried += len(dead)

            @rule()
            def what_belongs_nowhere_is_nowhere(self) -> None:
                assert self.pending.orphans() == 0

            @invariant()
            def agrees(self) -> None:
                layout, redis = connection.layout, connection.redis
                for strategy in WAITING:
                    waits = [raw.decode() for raw in redis.zrange(layout.pending(strategy), 0, -1)]
                    assert waits == self.model.waiting(strategy)
                    stand = {name for name in waits if self.model.known[name].stands}
                    of = {raw.decode() for raw in redis.hkeys(layout.contents_of(strategy))}
                    first = redis.hvals(layout.contents(strategy))
                    assert of == {raw.decode() for raw in first} == stand
                claims = {raw.decode() for raw in redis.zrange(layout.inflight, 0, -1)}
                assert claims == {
                    f"{one.strategy}|{one.claim[0]}|{name}"
                    for name, one in self.model.known.items()
                    if one.claim
                }
                kept = {raw.decode() for raw in redis.hkeys(layout.requests)}
                assert kept == set(self.model.known)
                attempts = {
                    raw.decode(): int(n) for raw, n in redis.hgetall(layout.attempts).items()
                }
                assert attempts == {
                    name: one.attempts for name, one in self.model.known.items() if one.attempts
                }
                assert redis.zcard(layout.dead) == self.buried

        run_machine(Machine)
        assert next(runs) > 1
        connection.redis.delete(*connection.redis.scan_iter(match=f"{connection.layout.prefix}*"))
        connection.close()
