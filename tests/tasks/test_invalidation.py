"""Requests through a worker: each strategy at each consistency, and each request once."""

from __future__ import annotations

import pytest

from cachekeeper.client.cache import FLUSH, Cache
from cachekeeper.core.request import Receipt, Status
from cachekeeper.core.strategy import STRATEGIES, Consistency, Strategy
from cachekeeper.names import Task
from tests.support import wait_until
from tests.tasks.conftest import Run, Send
from workers.wiring import Wiring

DONE_S = 10


def derived_values(cache: Cache) -> list[str]:
    """Fill every tier with a photo and a thumbnail made from it; their keys, sources first."""
    photos, thumbs = cache.namespace("photo"), cache.namespace("thumb")
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
    assert (receipt.strategy, receipt.consistency) == (strategy, consistency)
    assert receipt.affected == keys, "sources first"
    assert receipt.submitted <= receipt.started <= receipt.marked <= receipt.finished
    if consistency is Consistency.STRICT:
        assert receipt.verified == ["disk", "redis", "memory"]
        assert held(cache, keys) == set(), "a strict promise holds at once"
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
    assert stores.marks.epoch() == 2


def test_a_request_in_fewest_words(wiring: Wiring, send: Send) -> None:
    task_id = send(Task.INVALIDATE, namespaces=["photo"])
    receipt = wait_until(lambda: wiring.cache.stores.receipts.load(task_id))
    assert receipt.names == ["photo"], "the id of the task is the request's"


def test_a_request_that_does_not_cascade_leaves_what_was_derived(cache: Cache) -> None:
    keys = derived_values(cache)
    handle = cache.invalidate("photo:a", cascade=False, consistency=Consistency.STRICT)
    assert handle.wait(DONE_S).affected == ["photo:a"]
    assert {key for _, key in held(cache, keys)} == {"thumb:a"}


def test_a_full_batch_does_not_wait_for_its_tick(cache: Cache, wiring: Wiring) -> None:
    full = wiring.settings.scheduled_batch
    handles = [cache.invalidate(f"photo:{i}", strategy=Strategy.SCHEDULED) for i in range(full)]
    assert {handle.wait(DONE_S).batch for handle in handles} == {full}


class TestAFlush:
    """Drains what waits."""

    @pytest.fixture
    def given(self) -> dict[str, object]:
        """Batches of three, and nobody rings before they are many."""
        return {"background_batch": 3}

    def test_goes_batch_after_batch_until_nothing_waits(
        self, wiring: Wiring, send: Send, run: Run
    ) -> None:
        ids = [f"request-{i}" for i in range(8)]
        for i in ids:
            send(Task.INVALIDATE, id=i, keys=[f"photo:{i}"], strategy=Strategy.BACKGROUND)
        pending, receipts = wiring.cache.stores.pending, wiring.cache.stores.receipts
        wait_until(lambda: pending.waiting(Strategy.BACKGROUND) == len(ids))

        assert run(Task.FLUSH_BACKGROUND)["requests"] == len(ids)

        done = [receipt for i in ids if (receipt := receipts.load(i))]
        assert {receipt.status for receipt in done} == {Status.DONE}
        assert [receipt.batch for receipt in done] == [3, 3, 3, 3, 3, 3, 2, 2], "oldest first"
        assert pending.waiting(Strategy.BACKGROUND) == 0
        assert run(Task.FLUSH_BACKGROUND)["requests"] == 0
