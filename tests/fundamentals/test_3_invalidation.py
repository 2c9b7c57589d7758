"""3. Invalidation, and its receipt.

``invalidate`` asks for something that a worker does, in another process: it marks what is
named, waits, if asked to, until every memory of the site has followed, and then removes the
bytes. What became of it stands in the receipt.
"""

from __future__ import annotations

import os

import pytest

from cachekeeper import Cache, InvalidInput
from cachekeeper.core.receipt import Receipt
from cachekeeper.errors import ReceiptTimeout
from tests.fundamentals.conftest import Open

WAIT_S = 10.0


def test_a_receipt_tells_what_was_done(cache: Cache) -> None:
    """The handle is there at once; ``wait`` gives the receipt when the request has ended.

    From then on nothing older is read. ``purged=True`` waits until the bytes are gone too, and
    the receipt tells what was affected.
    """
    photos, pages = cache.namespace("photo", on_disk=True), cache.namespace("page")
    photos.loader(lambda name: name.encode())
    pages.loader(lambda name: b"page of " + photos.get(name))
    pages.get("receipt")

    handle = cache.invalidate("photo:receipt", consistency="strict", reason="cropped")
    receipt = handle.wait(WAIT_S, purged=True)

    assert receipt.status == "done"
    assert receipt.purged
    assert receipt.reason == "cropped"
    assert receipt.affected == ["photo:receipt", "page:receipt"]  # sources first
    assert receipt.batch_removed == {"disk": 1, "redis": 2}  # of the photo there were two copies
    assert set(receipt.verified) == {"memory", "redis", "disk"}
    assert receipt.worker_pid != os.getpid()  # somebody else did it
    assert receipt.epoch > 0
    assert receipt.submitted <= receipt.started <= receipt.marked <= receipt.finished


def test_any_process_can_read_a_receipt_by_its_id(service: Open) -> None:
    """It is JSON, kept for an hour."""
    mine = service().invalidate("photo:shared")
    theirs = service().receipt(mine.id).wait(WAIT_S)
    assert theirs.names == ["photo:shared"]
    assert Receipt.from_json(theirs.to_json()) == theirs


def test_strict_means_every_memory_of_the_site(service: Open) -> None:
    """Once a strict invalidation is done, no service reads the old value, from no tier."""
    version = ["old"]
    caches = [service(), service(), service()]
    clocks = [cache.namespace("clock") for cache in caches]
    for clock in clocks:
        clock.loader(lambda _: version[0].encode())
        assert clock.get("now") == b"old"

    version[0] = "new"
    caches[0].invalidate("clock:now", consistency="strict").wait(WAIT_S)
    assert [clock.get("now") for clock in clocks] == [b"new"] * 3


@pytest.mark.parametrize("strategy", ["immediate", "lazy"])
def test_most_invalidations_start_at_once(cache: Cache, strategy: str) -> None:
    """``immediate`` removes the bytes too; ``lazy`` leaves them to the next read or a sweep.

    Either way the value is stale from the mark on.
    """
    numbers = cache.namespace("number", on_disk=True)
    numbers.loader(lambda _: b"1")
    numbers.get("one")
    asked = cache.invalidate("number:one", strategy=strategy, consistency="strict")
    receipt = asked.wait(WAIT_S, purged=True)
    assert receipt.status == "done"
    assert receipt.batch_removed == ({} if strategy == "lazy" else {"disk": 1, "redis": 1})
    assert [tier.read("number:one") for tier in cache.tiers.values()] == [None, None, None]


@pytest.mark.parametrize("strategy", ["scheduled", "background"])
def test_some_wait_for_their_batch(service: Open, strategy: str) -> None:
    """``scheduled`` and ``background`` wait for the clock or a full batch: cheaper, and later.

    Until then the receipt says ``pending``, and the old value may be served.
    """
    cache = service(scheduled_batch=2, background_batch=2)  # two make a full batch
    first = cache.invalidate("number:one", strategy=strategy)
    assert first.read().status == "pending"
    with pytest.raises(ReceiptTimeout, match="is pending"):
        first.wait(0.05)

    second = cache.invalidate("number:two", strategy=strategy)
    assert first.wait(WAIT_S).status == second.wait(WAIT_S).status == "done"
    assert first.read().batch == 2


def test_a_key_that_nobody_ever_read_can_be_invalidated(cache: Cache) -> None:
    """It may be in a place that the graph does not know."""
    receipt = cache.invalidate(["never:read", "never:seen"]).wait(WAIT_S, purged=True)
    assert receipt.affected == ["never:read", "never:seen"]
    assert receipt.batch_removed == {"disk": 0, "redis": 0}


def test_a_malformed_request_changes_nothing(cache: Cache) -> None:
    """It does not get as far as a worker."""
    before = cache.stores.marks.now().epoch
    with pytest.raises(InvalidInput, match=r"keys\[1\]: 'bad' is not allowed"):
        cache.invalidate(["good:key", "bad"])
    with pytest.raises(InvalidInput, match=r"strategy: 'imediate' .*immediate, scheduled"):
        cache.invalidate("good:key", strategy="imediate")
    with pytest.raises(InvalidInput, match="id: 'unheard-of' is not allowed"):
        cache.receipt("unheard-of").read()
    assert cache.stores.marks.now().epoch == before
