"""Requests through a worker: each strategy at each consistency, and each request once."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

from cachekeeper.client.cache import FLUSH, Cache
from cachekeeper.core.dead import Letter
from cachekeeper.core.receipt import Receipt, Status, pending_receipt
from cachekeeper.core.request import make_request
from cachekeeper.core.strategy import STRATEGIES, Consistency, Strategy
from cachekeeper.errors import InvalidInput, ReceiptTimeout
from cachekeeper.names import Task
from cachekeeper.settings import Settings
from cachekeeper.store.redis.records import RedisLeftovers
from tests.support import wait_until
from tests.tasks.conftest import Run, Send
from workers.wiring import Wiring

DONE_S = 10


def derived_values(cache: Cache) -> list[str]:
    """Fill every tier with a photo and a thumbnail made from it; their keys, sources first."""
    photos, thumbs = (cache.namespace(name, on_disk=True) for name in ("photo", "thumb"))
    photos.loader(lambda name: b"photo " + name.encode())
    thumbs.loader(lambda name: b"small " + photos.get(name))
    thumbs.get("a")
    return ["photo:a", "thumb:a"]


def held(cache: Cache, keys: list[str]) -> set[tuple[str, str]]:
    """(tier, key) of every entry that a read would return."""
    return {(name, key) for name, tier in cache.tiers.items() for key in keys if tier.read(key)}


@pytest.mark.parametrize("consistency", Consistency)
@pytest.mark.parametrize("strategy", Strategy)
def test_every_strategy_at_every_consistency_leaves_every_tier_clean(
    cache: Cache, run: Run, strategy: Strategy, consistency: Consistency
) -> None:
    keys = derived_values(cache)
    everywhere = {(tier, key) for tier in cache.tiers for key in keys}
    assert held(cache, keys) == everywhere

    handle = cache.invalidate("photo:a", strategy=strategy, consistency=consistency)
    if STRATEGIES[strategy].waits:
        assert handle.read().status is Status.PENDING
        assert held(cache, keys) == everywhere, "until it is dispatched the old value is served"
        run(FLUSH[strategy])
    receipt = handle.wait(DONE_S)

    assert (receipt.status, receipt.error) == (Status.DONE, "")
    if consistency is Consistency.STRICT:
        assert receipt.verified == ["disk", "redis", "memory"]
        assert held(cache, keys) == set(), "a strict promise holds at once"
    receipt = handle.wait(DONE_S, purged=True)
    assert (receipt.strategy, receipt.consistency) == (strategy, consistency)
    assert receipt.affected == keys, "sources first"
    assert receipt.submitted <= receipt.started <= receipt.marked <= receipt.finished
    wait_until(lambda: not held(cache, keys), DONE_S)


@pytest.mark.parametrize("strategy", Strategy)
def test_the_same_request_twice_is_marked_once(
    wiring: Wiring, send: Send, run: Run, strategy: Strategy
) -> None:
    for _ in range(2):
        send(Task.INVALIDATE, id="twice", keys=["photo:a"], strategy=strategy, at=0)
    if strategy in FLUSH:
        run(FLUSH[strategy])
    stores = wiring.cache.stores

    def ended() -> Receipt | None:
        receipt = stores.receipts.load("twice")
        return receipt if receipt and receipt.ended else None

    assert wait_until(ended).epoch == 1
    run(Task.INVALIDATE, id="another", keys=["photo:b"])
    assert stores.marks.now().epoch == 2


@pytest.mark.parametrize("strategy", Strategy)
def test_an_id_that_was_used_for_other_keys_is_refused_and_buried(
    wiring: Wiring, run: Run, send: Send, letter: Callable[[], Letter], strategy: Strategy
) -> None:
    """Taken for the first, what it asks for would never be invalidated."""
    run(Task.INVALIDATE, id="twice", keys=["photo:a"], strategy=strategy)
    send(Task.INVALIDATE, id="twice", keys=["photo:b"], strategy=strategy)
    found = letter()
    assert found.reason.startswith("id: 'twice'")
    assert found.names == ["photo:b"]
    if strategy in FLUSH:
        run(FLUSH[strategy])
    run(Task.HEARTBEAT)  # a retry would have come before this
    assert wiring.dead_letters.recent(10) == [found]
    receipt = wiring.cache.receipt("twice").read()
    assert (receipt.status, receipt.names) == (Status.DONE, ["photo:a"])


def test_a_request_in_fewest_words(wiring: Wiring, send: Send) -> None:
    task_id = send(Task.INVALIDATE, namespaces=["photo"])
    receipt = wait_until(lambda: wiring.cache.stores.receipts.load(task_id))
    assert receipt.names == ["photo"], "the id of the task is the request's"


@pytest.mark.parametrize(
    ("fields", "by"),
    [({}, f"{os.getpid()}@"), ({"by": "till 4"}, "till 4")],
    ids=("the message", "itself"),
)
def test_who_asked_is_who_sent_the_message_unless_it_says_so(
    wiring: Wiring, send: Send, fields: dict[str, str], by: str
) -> None:
    request = send(Task.INVALIDATE, keys=["photo:a"], **fields)
    receipt = wait_until(lambda: wiring.cache.stores.receipts.load(request), DONE_S)
    assert by in receipt.by


def test_a_request_that_does_not_cascade_leaves_what_was_derived(cache: Cache) -> None:
    keys = derived_values(cache)
    handle = cache.invalidate("photo:a", cascade=False, consistency=Consistency.STRICT)
    assert handle.wait(DONE_S, purged=True).affected == ["photo:a"]
    assert {key for _, key in held(cache, keys)} == {"thumb:a"}


def test_a_full_batch_does_not_wait_for_its_tick(cache: Cache, wiring: Wiring) -> None:
    full = wiring.settings.scheduled_batch
    handles = [cache.invalidate(f"photo:{i}", strategy=Strategy.SCHEDULED) for i in range(full)]
    assert {handle.wait(DONE_S).batch for handle in handles} == {full}


class TestAFlush:
    """Drains what waits."""

    @pytest.fixture
    def given(self) -> dict[str, object]:
        """Batches of three."""
        return {"background_batch": 3}

    def test_goes_batch_after_batch_until_nothing_waits(self, wiring: Wiring, run: Run) -> None:
        ids = [f"request-{i}" for i in range(8)]
        pending, receipts = wiring.cache.stores.pending, wiring.cache.stores.receipts
        for at, i in enumerate(ids):  # without ringing
            fields = {"keys": [f"photo:{i}"], "strategy": Strategy.BACKGROUND}
            asked = make_request(id=i, at=at, **fields)
            pending.submit(pending_receipt(asked), asked, len(ids))

        assert run(Task.FLUSH_BACKGROUND)["requests"] == len(ids)

        done = [receipt for i in ids if (receipt := receipts.load(i))]
        assert {receipt.status for receipt in done} == {Status.DONE}
        assert [receipt.batch for receipt in done] == [3, 3, 3, 3, 3, 3, 2, 2], "oldest first"
        assert pending.waiting(Strategy.BACKGROUND) == 0
        assert run(Task.FLUSH_BACKGROUND)["requests"] == 0

    def test_says_what_was_removed_for_the_batch(self, cache: Cache, run: Run) -> None:
        keys = derived_values(cache)
        handles = [cache.invalidate(key, strategy=Strategy.BACKGROUND) for key in keys]
        run(Task.FLUSH_BACKGROUND)
        for receipt in [handle.wait(DONE_S, purged=True) for handle in handles]:
            assert receipt.batch == len(handles)
            assert receipt.batch_removed == {"disk": 2, "redis": 2}, "for both of them together"

    def test_puts_aside_what_can_not_be_done_and_does_the_rest(
        self, wiring: Wiring, run: Run, letter: Callable[[], Letter]
    ) -> None:
        names = ["used", "last"]
        for name in names:
            run(Task.INVALIDATE, id=name, keys=[f"photo:{name}"], strategy=Strategy.BACKGROUND)
        run(Task.INVALIDATE, id="used", keys=["photo:other"])  # while the one of that id waits
        assert run(Task.FLUSH_BACKGROUND)["requests"] == 1
        assert letter().names == ["photo:used"]
        receipts = [wiring.cache.receipt(name).read() for name in names]
        assert {receipt.status for receipt in receipts} == {Status.DONE}
        assert wiring.recovery.requeue() == {"requeued": 0, "buried": 0}


class TestAGreatPurge:
    """More dependents than are purged at once: the promise first, the bytes by and by."""

    MANY = Settings().purge_budget + 200

    def made(self, cache: Cache) -> list[str]:
        """``MANY`` values made of one, of which a few are held; all keys."""
        photos, thumbs = (cache.namespace(name, on_disk=True) for name in ("photo", "thumb"))
        photos.loader(lambda name: name.encode())
        thumbs.loader(lambda name: photos.get("a") + name.encode())
        held_ones = [str(i) for i in range(0, self.MANY, 100)]
        for name in held_ones:
            thumbs.get(name)
        for i in range(self.MANY):
            cache.stores.graph.link(f"thumb:{i}", ["photo:a"])
        return ["photo:a", *(f"thumb:{name}" for name in held_ones)]

    def present(self, cache: Cache, keys: list[str]) -> list[str]:
        tiers = (cache.stores.redis, cache.stores.disk)
        return [key for tier in tiers for key in tier.present(keys)]

    def test_the_receipt_comes_before_the_purge_and_tells_of_its_end(
        self, wiring: Wiring, cache: Cache, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        keys, later = self.made(cache), list[list[str]]()
        monkeypatch.setattr(wiring.invalidator, "_defer", later.append)

        handle = cache.invalidate("photo:a", consistency=Consistency.STRICT)
        receipt = handle.wait(DONE_S)
        assert receipt.status is Status.DONE
        assert held(cache, keys) == set()
        (deferred,) = wait_until(lambda: later)
        assert not handle.read().purged
        with pytest.raises(ReceiptTimeout):
            handle.wait(0.05, purged=True)

        wiring._purge_later(deferred)
        receipt = handle.wait(DONE_S, purged=True)
        assert receipt.purged
        assert (receipt.affected_count, receipt.depth) == (1 + self.MANY, 1)
        assert receipt.affected[0] == "photo:a"
        assert len(receipt.affected) == 100
        assert any("size budget" in limit for limit in receipt.limits)
        assert self.present(cache, keys) == []

    def test_whoever_waits_for_the_bytes_does_not_wait_for_ever(self, cache: Cache) -> None:
        keys = self.made(cache)
        assert self.present(cache, keys) == 2 * keys
        receipt = cache.invalidate("photo:a").wait(DONE_S, purged=True)
        assert self.present(cache, keys) == []
        assert receipt.affected_count == 1 + self.MANY
        assert receipt.batch_removed == {"disk": len(keys), "redis": len(keys)}

    def test_a_lazy_one_leaves_all_bytes_to_the_sweep(self, cache: Cache, run: Run) -> None:
        keys = self.made(cache)
        asked = cache.invalidate("photo:a", strategy=Strategy.LAZY)
        receipt = asked.wait(DONE_S, purged=True)
        assert (receipt.batch_removed, receipt.affected_count) == ({}, 1 + self.MANY)
        assert self.present(cache, keys) == 2 * keys
        wait_until(lambda: run(Task.SWEEP_LAZY) and not self.present(cache, keys))

    def test_a_purge_whose_receipt_is_gone_is_done_all_the_same(
        self, cache: Cache, run: Run
    ) -> None:
        keys = self.made(cache)
        RedisLeftovers(cache.stores.connection, 60).put("long ago", ["photo:a"])
        run(Task.PURGE, requests=["long ago"])
        assert self.present(cache, keys) == []
        assert cache.stores.receipts.load("long ago") is None

    def test_a_purge_that_comes_twice_is_done_once(self, cache: Cache, run: Run) -> None:
        """As after a kill between the last receipt and the acknowledgement."""
        self.made(cache)
        asked = cache.invalidate("photo:a")
        first = asked.wait(DONE_S, purged=True)
        run(Task.PURGE, requests=[asked.id, asked.id])
        assert asked.read() == first

    def test_a_batch_has_each_purge_in_its_own_receipt(self, cache: Cache, run: Run) -> None:
        self.made(cache)
        great, small = (
            cache.invalidate(f"photo:{name}", strategy=Strategy.BACKGROUND) for name in "ab"
        )
        run(Task.FLUSH_BACKGROUND)
        assert small.wait(DONE_S, purged=True).affected == ["photo:b"]
        assert great.wait(DONE_S, purged=True).affected_count == 1 + self.MANY


class TestDependingLater:
    """``depend``: what a loader did not read through the cache, said afterwards."""

    def test_an_invalidation_of_what_was_declared_reaches_all_below(self, cache: Cache) -> None:
        keys = derived_values(cache)
        cache.depend("photo:a", on=["config:y", "config:z"])
        assert cache.why("photo:a").derived_from == ["config:y", "config:z"]
        assert cache.why("config:z").dependents == ["photo:a"]
        handle = cache.invalidate("config:z", consistency=Consistency.STRICT)
        assert handle.wait(DONE_S, purged=True).affected == ["config:z", *keys]
        assert held(cache, keys) == set()

    @pytest.mark.parametrize(
        "named",
        [
            {"keys": "source:s"},
            {"keys": "between:s"},
            {"tag": "of s"},
            {"namespace": "source"},
            {"namespace": "between"},
        ],
        ids=str,
    )
    @pytest.mark.parametrize("kept", [True, False], ids=["held", "evicted"])
    def test_what_was_declared_hands_on_all_that_it_was_made_from(
        self, cache: Cache, named: dict[str, Any], kept: bool
    ) -> None:
        """An edge said afterwards is worth as much as one that a loader made by reading."""
        sources, between, later = map(cache.namespace, ("source", "between", "later"))
        sources.loader(lambda name: name.encode())
        sources.tags(lambda name: (f"of {name}",))
        between.loader(lambda name: sources.get(name))
        later.loader(lambda name: name.encode())
        between.get("s")
        later.get("x")
        if not kept:
            for tier in cache.tiers.values():
                tier.remove(["source:s", "between:s"])
        cache.depend("later:x", on="between:s")
        handle = cache.invalidate(**named, consistency=Consistency.STRICT)
        assert handle.wait(DONE_S).status is Status.DONE
        assert held(cache, ["later:x"]) == set()

    def test_one_that_was_invalidated_before_the_declaration_counts_too(self, cache: Cache) -> None:
        keys = derived_values(cache)
        cache.invalidate("config:y", consistency=Consistency.STRICT).wait(DONE_S)
        assert {key for _, key in held(cache, keys)} == set(keys)
        cache.depend("thumb:a", on="config:y")
        wait_until(lambda: {key for _, key in held(cache, keys)} == {"photo:a"}, DONE_S)
        last = cache.why("thumb:a").last_invalidation
        assert last is not None
        assert "depends on" in last.reason

    def test_one_that_was_invalidated_before_the_value_was_made_does_not(
        self, wiring: Wiring, cache: Cache
    ) -> None:
        cache.invalidate("config:y", consistency=Consistency.STRICT).wait(DONE_S)
        keys = derived_values(cache)
        cache.depend("thumb:a", on="config:y")
        assert wiring.cache.stores.marks.now().epoch == 1
        assert {key for _, key in held(cache, keys)} == set(keys)

    def test_only_a_value_that_is_stored_can_be_said_to_depend(self, cache: Cache) -> None:
        derived_values(cache)
        with pytest.raises(InvalidInput, match="key: 'photo:b' is not allowed"):
            cache.depend("photo:b", on="config:y")
        for key, on in (
            ("photo", "config:y"),
            ("photo:a", "config"),
            ("photo:a", ["config:y", ""]),
        ):
            with pytest.raises(InvalidInput):
                cache.depend(key, on=on)
        assert cache.why("photo:a").derived_from == []
