"""Two clients of one site, all tiers, the real worker: whatever they do, nothing older is read.

Each loader writes a serial into its value, and keeps those of the values that it read. So a value
shows when every part of it was made; once an invalidation of a key has been confirmed, a value with
an older part of that key may not be read any more, on either node.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from cachekeeper.client.cache import Cache
from cachekeeper.client.namespace import Namespace
from cachekeeper.client.receipt import ReceiptHandle
from cachekeeper.core.receipt import Receipt, Status
from cachekeeper.core.request import make_request
from cachekeeper.core.strategy import Consistency, Strategy
from cachekeeper.errors import InvalidInput, QuotaExceeded
from cachekeeper.names import Task
from cachekeeper.settings import load
from tests.property.machines import run_machine
from tests.support import wait_until
from tests.tasks.conftest import Run
from workers.wiring import Wiring

WAIT_S = 20.0
MEMORY = 9000  # bytes: room for a few values only
LARGE = 2500  # bytes: no value of the Redis tier
DOCS, PAGES = 4, 3

docs, pages = st.integers(0, DOCS - 1), st.integers(0, PAGES - 1)
names = st.one_of(
    docs.map(lambda i: f"doc:{i}"), pages.map(lambda j: f"page:{j}"), st.just("album:0")
)
nodes = st.integers(0, 1)
at_once = st.sampled_from([Strategy.IMMEDIATE, Strategy.LAZY])
levels = st.sampled_from(list(Consistency))


class Node:
    """One client, with loaders that read each other."""

    def __init__(self, cache: Cache, serials: Iterator[int]) -> None:
        self.cache, self._serials = cache, serials
        #: Called by the loader of a key, once its serial is drawn.
        self.meanwhile: dict[str, Callable[[int], None]] = {}
        self.spaces = {
            name: cache.namespace(name, serializer="json") for name in ("doc", "page", "album")
        }
        self.spaces["doc"].loader(lambda rest: self._made(f"doc:{rest}", []))
        self.spaces["doc"].tags(lambda rest: (tag_of(f"doc:{rest}"),))
        self.spaces["page"].loader(lambda rest: self._made(f"page:{rest}", self._parts(rest, 2)))
        self.spaces["album"].loader(lambda rest: self._made(f"album:{rest}", self._pages(rest)))

    def get(self, key: str) -> dict[str, int]:
        """By key: the serial of each value that this one was made from, and its own."""
        space, _, rest = key.partition(":")
        return dict(self.spaces[space].get(rest)["made"])

    def space(self, key: str) -> tuple[Namespace, str]:
        """The namespace of a key, and the rest of it."""
        space, _, rest = key.partition(":")
        return self.spaces[space], rest

    def _parts(self, rest: str, count: int) -> list[Any]:
        run, _, number = rest.partition("-")
        found = self.spaces["doc"].get_many(
            f"{run}-{(int(number) + i) % DOCS}" for i in range(count)
        )
        return list(found.values())

    def _pages(self, rest: str) -> list[Any]:
        run = rest.partition("-")[0]
        found = [self.spaces["page"].get(f"{run}-{j}") for j in range(2)]
        return [*found, self.spaces["doc"].get(f"{run}-{DOCS - 1}")]

    def _made(self, key: str, inputs: list[Any]) -> dict[str, Any]:
        serial, made = next(self._serials), dict[str, int]()
        for value in inputs:
            for each, of in value["made"].items():
                made[each] = min(of, made.get(each, of))  # two versions of one: the older counts
        if call := self.meanwhile.pop(key, None):
            call(serial)
        pad = LARGE if int(key.rpartition("-")[2]) % 2 and not inputs else 100 * len(inputs)
        return {"made": {**made, key: serial}, "pad": "x" * pad}


def tag_of(doc: str) -> str:
    """Two tags for all documents of a run."""
    run, _, number = doc.partition(":")[2].partition("-")
    return f"tag {run} {int(number) % 2}"


@pytest.fixture
def given() -> dict[str, object]:
    return {"memory_bytes": MEMORY, "redis_value_bytes": 2000, "prefetch": False}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_nothing_older_is_read_whatever_two_clients_do(
    wiring: Wiring, cache: Cache, run: Run, tmp_path: Path
) -> None:
    serials, runs = itertools.count(1), itertools.count()

    with Cache(load(state=tmp_path / "another host")) as another:
        both = [Node(cache, serials), Node(another, serials)]

        class Machine(RuleBasedStateMachine):
            """Keys of a run's own; ``floors`` says what may not be read any more."""

            def __init__(self) -> None:
                super().__init__()
                self.run = next(runs)
                self.floors: dict[str, int] = {}  # of a key in any value
                self.own_floors: dict[str, int] = {}  # of a key in its own value
                self.declared: dict[str, dict[str, int]] = {}  # on -> key -> its serial then
                self.unread: set[str] = set()  # invalidated, and nobody has read it since
                self.waiting: list[tuple[ReceiptHandle, list[str], bool]] = []

            def teardown(self) -> None:
                self.the_batches_are_done()
                for node in both:
                    for name in ("doc", "page", "album"):
                        for number in range(DOCS):
                            node.cache.unpin(f"{name}:{self.run}-{number}")

            def key(self, name: str) -> str:
                """Of this run."""
                space, _, number = name.partition(":")
                return f"{space}:{self.run}-{number}"

            # Reading

            @rule(node=nodes, name=names)
            def reads(self, node: int, name: str) -> None:
                self._check(self.key(name), both[node].get(self.key(name)))

            @rule(node=nodes, some=st.lists(docs, max_size=4))
            def reads_many(self, node: int, some: list[int]) -> None:
                rests = [f"{self.run}-{number}" for number in some]
                found = both[node].spaces["doc"].get_many(rests)
                assert set(found) == set(rests)
                for rest, value in found.items():
                    self._check(f"doc:{rest}", value["made"])

            @rule(node=nodes, name=names)
            def looks(self, node: int, name: str) -> None:
                space, rest = both[node].space(self.key(name))
                state = space.lookup(rest).state
                assert state in {"fresh", "stale", "missing"}
                assert not (state == "fresh" and self.key(name) in self.unread)

            def _check(self, key: str, made: dict[str, int]) -> None:
                """No part of a value is older than what was promised."""
                self.unread -= made.keys()
                assert made[key] > self.own_floors.get(key, 0)
                for part, serial in made.items():
                    assert serial > self.floors.get(part, 0), f"{part} in {key}"

            # Invalidating

            @rule(
                node=nodes,
                some=st.lists(names, min_size=1, max_size=2),
                strategy=at_once,
                level=levels,
                cascade=st.booleans(),
            )
            def invalidates(
                self, node: int, some: list[str], strategy: str, level: str, cascade: bool
            ) -> None:
                keys = [self.key(name) for name in some]
                handle = both[node].cache.invalidate(
                    keys, strategy=strategy, consistency=level, cascade=cascade
                )
                self._rises(handle.wait(WAIT_S), keys, cascade)

            @rule(node=nodes, odd=st.integers(0, 1), strategy=at_once, level=levels)
            def invalidates_a_tag(self, node: int, odd: int, strategy: str, level: str) -> None:
                some = [f"doc:{self.run}-{number}" for number in range(odd, DOCS, 2)]
                handle = both[node].cache.invalidate(
                    tag=tag_of(some[0]), strategy=strategy, consistency=level
                )
                self._rises(handle.wait(WAIT_S), some, True)

            @rule(node=nodes, space=st.sampled_from(["doc", "page", "album"]), level=levels)
            def invalidates_a_namespace(self, node: int, space: str, level: str) -> None:
                some = [f"{space}:{self.run}-{number}" for number in range(DOCS)]
                handle = both[node].cache.invalidate(namespace=space, consistency=level)
                self._rises(handle.wait(WAIT_S), some, True)

            @rule(
                node=nodes,
                name=names,
                strategy=st.sampled_from([Strategy.SCHEDULED, Strategy.BACKGROUND]),
                level=levels,
                cascade=st.booleans(),
            )
            def asks_for_later(
                self, node: int, name: str, strategy: str, level: str, cascade: bool
            ) -> None:
                key = self.key(name)
                handle = both[node].cache.invalidate(
                    key, strategy=strategy, consistency=level, cascade=cascade
                )
                assert handle.read().status is Status.PENDING
                self.waiting.append((handle, [key], cascade))

            @precondition(lambda self: self.waiting)
            @rule()
            def the_batches_are_done(self) -> None:
                for task in (Task.FLUSH_SCHEDULED, Task.FLUSH_BACKGROUND):
                    run(task)
                waited, self.waiting = self.waiting, []
                for handle, keys, cascade in waited:
                    self._rises(handle.wait(WAIT_S), keys, cascade)

            @rule(node=nodes, name=names, commits=st.booleans(), level=levels)
            def ends_a_transaction(self, node: int, name: str, commits: bool, level: str) -> None:
                unit = both[node].cache.unit_of_work(consistency=level)
                unit.invalidate(self.key(name))
                unit.prepare()
                if not commits:
                    unit.rollback()
                    return
                unit.commit()
                for handle in unit.receipts:
                    self._rises(handle.wait(WAIT_S), [self.key(name)], True)

            def _rises(self, receipt: Receipt, keys: list[str], cascade: bool) -> None:
                """It is confirmed: nothing is left of what was made so far."""
                assert receipt.status is Status.DONE, receipt
                if receipt.consistency is not Consistency.STRICT:  # memory settles a moment later
                    wait_until(
                        lambda: all(
                            node.cache._memory.applied.epoch >= receipt.epoch for node in both
                        )
                    )
                self._promised(keys, next(serials), cascade)

            def _promised(self, keys: list[str], serial: int, cascade: bool) -> None:
                self.unread |= set(keys)
                for key in keys:
                    self.own_floors[key] = serial
                    if cascade:
                        self.floors[key] = serial
                        for other, then in self.declared.pop(key, {}).items():
                            self.floors[other] = max(then, self.floors.get(other, 0))

            # What comes in between

            @rule(node=nodes, name=names)
            def is_invalidated_while_it_is_made(self, node: int, name: str) -> None:
                """What such a read gives may be old; nobody may get it after that."""
                key, space = self.key(name), both[node]
                space.cache.stores.redis.remove([key])
                space.cache.stores.disk.remove([key])

                def invalidate(serial: int) -> None:
                    handle = space.cache.invalidate(key, consistency=Consistency.STRICT)
                    assert handle.wait(WAIT_S).status is Status.DONE
                    self._promised([key], serial, True)

                space.meanwhile[key] = invalidate
                space.get(key)
                space.meanwhile.clear()
                self.unread.clear()  # some parts may have been made after it

            @rule(node=nodes, name=names, between=st.booleans())
            def fills(self, node: int, name: str, between: bool) -> None:
                key = self.key(name)
                space, rest = both[node].space(key)
                with space.fill(rest) as fill:
                    serial = next(serials)
                    if between:
                        self.invalidates(node, [name], Strategy.IMMEDIATE, "strict", True)
                    stored = fill.put({"made": {key: serial}, "pad": ""})
                assert not (between and stored)
                self.unread.discard(key)

            @rule(node=nodes, name=names, on=docs)
            def depends(self, node: int, name: str, on: int) -> None:
                key, of = self.key(name), self.key(f"doc:{on}")
                serial = next(serials)
                try:
                    both[node].cache.depend(key, on=of)
                except InvalidInput:
                    return  # no tier holds it
                self.declared.setdefault(of, {})[key] = serial

            @rule(node=nodes, name=names, tier=st.sampled_from(["memory", "redis", "disk"]))
            def is_evicted(self, node: int, name: str, tier: str) -> None:
                both[node].cache.tiers[tier].remove([self.key(name)])

            @rule(node=nodes, name=names, keeps=st.booleans())
            def pins(self, node: int, name: str, keeps: bool) -> None:
                if not keeps:
                    both[node].cache.unpin(self.key(name))
                    return
                try:
                    both[node].cache.pin(self.key(name))
                except QuotaExceeded:
                    assert both[node].cache._memory.bytes > MEMORY / 4

            @rule(
                sweep=st.sampled_from(["lazy_sweep", "expiry_sweep", "graph_refresh", "recovery"])
            )
            def a_sweep_comes(self, sweep: str) -> None:
                service = getattr(wiring, sweep)
                if sweep == "recovery":
                    service.trim()
                else:
                    service.run()

            @rule(node=nodes, name=names, other=names)
            def the_server_is_full(self, node: int, name: str, other: str) -> None:
                """Reads go on, and a strict invalidation holds."""
                redis = cache.stores.connection.redis
                redis.config_set("maxmemory", 1)
                try:
                    self.reads(node, name)
                    request = make_request(
                        id=f"full {self.run} {next(serials)}",
                        at=time.time(),
                        keys=[self.key(other)],
                        consistency=Consistency.STRICT,
                    )
                    (receipt,) = wiring.invalidator.run([request])
                    self._rises(receipt, [self.key(other)], True)
                    self.reads(1 - node, name)
                    self.reads(node, other)
                finally:
                    redis.config_set("maxmemory", 0)

            @invariant()
            def memory_is_bounded(self) -> None:
                for node in both:
                    assert node.cache._memory.bytes <= MEMORY

        run_machine(Machine, steps=30)
        assert wiring.dead_letters.recent(10) == []
        for tier in cache.tiers:
            read = sum(node.cache.stats()[tier] for node in both)
            assert read > 0, f"nothing was ever read from {tier}"
