"""Marks, fills, reads, declared sources and the list of nodes, against a plain model."""

from __future__ import annotations

import itertools
import time
import uuid
from dataclasses import dataclass, field
from typing import NamedTuple

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from cachekeeper.core.request import make_request
from cachekeeper.core.stamps import (
    Entry,
    Found,
    Moment,
    Stamp,
    own_sources,
    source_of_key,
    source_of_tag,
)
from cachekeeper.errors import InvalidInput
from cachekeeper.store.redis.connection import Connection
from cachekeeper.store.redis.marks import RedisMarks
from cachekeeper.store.redis.nodes import RedisNodes
from cachekeeper.store.redis.values import RedisTier
from tests.property.machines import run_machine
from tests.support import fresh_deployment

LEASE_S = 1.0

KEYS = ("a:1", "a:2", "b:1", "b:é")
TAGS = ("t", "u")
keys, tags = st.sampled_from(KEYS), st.sets(st.sampled_from(TAGS))
nodes = st.sampled_from("xyz")


class Stored(NamedTuple):
    """A record of the Redis tier."""

    body: bytes
    as_of: int
    sources: frozenset[str]


@dataclass
class Model:
    """What the server holds."""

    epoch: int = 0
    marks: dict[str, int] = field(default_factory=dict)
    groups_of: dict[str, set[str]] = field(default_factory=dict)
    requests: dict[str, tuple[frozenset[str], int]] = field(default_factory=dict)
    values: dict[str, Stored] = field(default_factory=dict)
    acks: dict[str, int] = field(default_factory=dict)
    fenced: set[str] = field(default_factory=set)

    def reach(self, sources: frozenset[str]) -> set[str]:
        """They, the groups that they belong to, and the groups of those."""
        found, left = set[str](), list(sources)
        while left:
            if (each := left.pop()) not in found:
                found.add(each)
                left += self.groups_of.get(each, ())
        return found

    def is_stale(self, key: str, sources: frozenset[str], as_of: int) -> bool:
        """A mark of any of them is later."""
        return any(self.marks.get(s, -1) > as_of for s in {*own_sources(key), *sources})


def test_whatever_happens_the_scripts_agree_with_the_model(server_url: str) -> None:
    with fresh_deployment(server_url) as deployment:
        connection = Connection(server_url, deployment)
        layout, redis = connection.layout, connection.redis
        marks, tier = RedisMarks(connection, 60), RedisTier(connection, 1000)
        names = itertools.count()

        class Machine(RuleBasedStateMachine):
            """One history after the other, each from what the one before left of the epoch."""

            def __init__(self) -> None:
                super().__init__()
                left = {layout.clock}
                gone = [
                    raw
                    for raw in redis.scan_iter(match=f"{layout.prefix}*")
                    if raw.decode() not in left
                ]
                if gone:
                    redis.delete(*gone)
                self.model = Model(marks.now().epoch)
                self.incarnation = marks.now().incarnation
                self.list = RedisNodes(connection, LEASE_S)

            @rule(some=st.sets(keys, max_size=3), of=tags, spaces=st.sets(st.sampled_from("ab")))
            def marks_something(self, some: set[str], of: set[str], spaces: set[str]) -> None:
                if not (some or of or spaces):
                    return
                self._mark(f"r{next(names)}", sorted(some), sorted(of), sorted(spaces))

            @precondition(lambda self: self.model.requests)
            @rule(data=st.data())
            def marks_again(self, data: st.DataObject) -> None:
                name = data.draw(st.sampled_from(sorted(self.model.requests)))
                seeds, epoch = self.model.requests[name]
                some = sorted(s.removeprefix("k:") for s in seeds if s.startswith("k:"))
                rest = [sorted(s[2:] for s in seeds if s.startswith(kind)) for kind in ("t:", "n:")]
                assert self._mark(name, some, *rest) == epoch, "once"

            @precondition(lambda self: self.model.requests)
            @rule(data=st.data())
            def uses_an_id_twice(self, data: st.DataObject) -> None:
                name = data.draw(st.sampled_from(sorted(self.model.requests)))
                other = make_request(id=name, at=1, keys=["other:1"])
                with pytest.raises(InvalidInput, match=r"^id: "):
                    marks.mark([other], time.time())

            def _mark(self, name: str, some: list[str], of: list[str], spaces: list[str]) -> int:
                asked = make_request(id=name, at=1, keys=some, tags=of, namespaces=spaces)
                (moment,) = marks.mark([asked], time.time())
                model, seeds = self.model, frozenset(asked.seeds)
                if name not in model.requests:
                    model.epoch += 1
                    model.marks |= dict.fromkeys(model.reach(seeds), model.epoch)
                    model.requests[name] = seeds, model.epoch
                    assert moment.epoch == model.epoch
                return moment.epoch

            @rule(key=keys, of=tags, inputs=st.sets(keys, max_size=2), ago=st.integers(0, 3))
            def fills(self, key: str, of: set[str], inputs: set[str], ago: int) -> None:
                as_of = max(0, self.model.epoch - ago)
                named = [*map(source_of_tag, sorted(of)), *map(source_of_key, sorted(inputs))]
                sources, body = frozenset(named), uuid.uuid4().bytes
                moment, now = Moment(self.incarnation, as_of), time.time()
                stamp = Stamp(moment, tuple(named))
                found = Found(Entry(body, stamp, now, now + 60), moment)
                kept = tier.fill(key, found)
                assert (kept is None) == self.model.is_stale(key, sources, as_of)
                if kept is not None:
                    self.model.values[key] = Stored(body, as_of, sources)

            @rule(key=keys)
            def reads(self, key: str) -> None:
                found, stored = tier.read(key), self.model.values.get(key)
                if stored is None or self.model.is_stale(key, stored.sources, stored.as_of):
                    assert found is None
                    self.model.values.pop(key, None)
                else:
                    assert found is not None
                    assert found.entry.body == stored.body
                    assert found.moment.epoch == self.model.epoch

            @rule(key=keys, on=st.sets(keys, min_size=1, max_size=2), ago=st.integers(0, 3))
            def declares(self, key: str, on: set[str], ago: int) -> None:
                source, as_of = source_of_key(key), max(0, self.model.epoch - ago)
                inputs = [source_of_key(each) for each in sorted(on)]
                moment = Moment(self.incarnation, as_of)
                fresh = marks.declare(source, inputs, moment, time.time() + 60)
                for each in inputs:
                    self.model.groups_of.setdefault(each, set()).add(source)
                assert fresh == all(self.model.marks.get(s, -1) <= as_of for s in inputs)

            @rule(node=nodes)
            def joins(self, node: str) -> None:
                assert self.list.join(node).epoch == self.model.epoch
                self.model.acks.setdefault(node, self.model.epoch)  # never over what it said since

            @rule(node=nodes, behind=st.integers(-1, 3), same=st.booleans())
            def renews(self, node: str, behind: int, same: bool) -> None:
                model = self.model
                applied = max(0, model.epoch - behind)
                told = Moment(self.incarnation if same else self.incarnation - 1, applied)
                may = node in model.acks and node not in model.fenced
                granted = may and same and applied <= model.epoch
                assert self.list.renew(node, told) == granted
                if granted:
                    model.acks[node] = applied

            @rule(behind=st.integers(0, 2))
            def is_fenced(self, behind: int) -> None:
                epoch = self.model.epoch - behind
                silent = {node for node, ack in self.model.acks.items() if ack < epoch}
                assert self.list.fence(epoch) == sorted(silent)
                self.model.fenced |= silent

            @rule(some=st.sets(nodes, min_size=1))
            def leave(self, some: set[str]) -> None:
                self.list.leave(some)
                for node in some:
                    self.model.acks.pop(node, None)
                self.model.fenced -= some

            @precondition(
                lambda self: all(ack >= self.model.epoch for ack in self.model.acks.values())
            )
            @rule()
            def is_rung_at_once(self) -> None:
                before = time.monotonic()
                told = self.list.wait(self.model.epoch, 30.0)
                assert told == (self.incarnation, self.model.acks)
                assert time.monotonic() - before < 20, "not at its timeout"

            @precondition(lambda self: self.model.acks)
            @rule()
            def the_last_one_rings(self) -> None:
                """Who waits hears of it by a renewal, with what all have acknowledged by then."""
                model, last = self.model, min(self.model.acks.values())
                if last == model.epoch or model.fenced & model.acks.keys():
                    return
                bell = layout.bell("ours")
                wanted = [layout.clock, layout.acks, layout.waiting, bell]
                connection.run("wait", wanted, [model.epoch, "ours", 60])
                for node in sorted(node for node, ack in model.acks.items() if ack < model.epoch):
                    assert not redis.exists(bell), "only the last one rings"
                    self.renews(node, behind=0, same=True)
                (said,) = redis.lrange(bell, 0, -1)
                incarnation, *known = said.decode().split("\n")
                assert int(incarnation) == self.incarnation
                assert dict(zip(known[::2], map(int, known[1::2]), strict=True)) == model.acks
                redis.delete(bell)

            @invariant()
            def agrees(self) -> None:
                model = self.model
                assert marks.now() == Moment(self.incarnation, model.epoch)
                held = redis.zrange(layout.marks, 0, -1, withscores=True)
                assert {raw.decode(): int(epoch) for raw, epoch in held} == model.marks
                assert self.list.acknowledged() == (self.incarnation, model.acks)
                fenced = {raw.decode() for raw in redis.smembers(layout.fenced)}
                assert fenced == model.fenced
                assert redis.xlen(layout.log) == len(model.requests)

        run_machine(Machine, steps=50)
        connection.close()
