"""The records of past requests: listed, filtered, in pages."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Iterator

import pytest

from cachekeeper import AsyncCache, Cache
from cachekeeper.core.receipt import failed_receipt, pending_receipt
from cachekeeper.core.request import make_request
from cachekeeper.settings import Settings
from cachekeeper.store.redis.record_list import PAGE
from cachekeeper.testing import MemoryCache
from tests.support import but
from workers.wiring import Wiring


@pytest.fixture
def given(here: Settings) -> Settings:
    return but(here, memory_bytes=0)


@pytest.fixture
def cache(given: Settings) -> Iterator[Cache]:
    with Cache(given) as opened:
        yield opened


def keep(cache: Cache, name: str, at: float, **fields: object) -> None:
    request = make_request(id=name, at=at, **{"keys": [f"note:{name}"], **fields})
    cache.stores.receipts.save([failed_receipt(request, "broken", at)])


def ids(cache: Cache, **conditions: object) -> list[str]:
    return [receipt.id for receipt in cache.records(**conditions)]  # type: ignore[arg-type]


def test_the_newest_come_first_and_all_pages_are_read(cache: Cache) -> None:
    now = time.time()
    names = [f"{i:04d}" for i in range(2 * PAGE + 7)]
    for i, name in enumerate(names):
        keep(cache, name, now - 1000 + i)
    assert ids(cache) == names[::-1]
    assert ids(cache, since_s=900) == [name for name in names[::-1] if int(name) > 100]


def test_many_of_one_time_are_each_told_once(cache: Cache) -> None:
    now = time.time()
    names = [f"{i:04d}" for i in range(3 * PAGE)]
    for name in names:
        keep(cache, name, now)
    keep(cache, "older", now - 1)
    assert ids(cache) == [*names[::-1], "older"]


def test_what_comes_while_records_are_read_is_told_twice_by_none(cache: Cache) -> None:
    now = time.time()
    names = [f"{i:04d}" for i in range(2 * PAGE)]
    for name in names:
        keep(cache, name, now)
    found = cache.records()
    seen = [next(found).id]
    keep(cache, "zzz", now)
    keep(cache, "later", now + 1)
    seen += [receipt.id for receipt in found]
    assert seen == names[::-1]


def test_records_are_told_apart(cache: Cache) -> None:
    now = time.time()
    keep(cache, "a", now - 60, strategy="lazy", by="till")
    keep(cache, "b", now - 30, tags=["red"], consistency="strict")
    keep(cache, "c", now)
    assert ids(cache, by="till") == ["a"]
    assert ids(cache, name="red") == ["b"]
    assert ids(cache, key="note:c") == ["c"]
    assert ids(cache, strategy=["immediate"], consistency="eventual") == ["c"]
    assert ids(cache, since_s=45) == ["c", "b"]
    assert ids(cache, status="done") == []


def test_a_record_whose_receipt_is_gone_is_passed_over(cache: Cache) -> None:
    for name in ("a", "b"):
        keep(cache, name, time.time())
    cache.stores.connection.redis.unlink(cache.stores.connection.layout.receipt("a"))
    assert ids(cache) == ["b"]


def test_one_that_another_stands_for_is_told_in_its_own_name(given: Settings) -> None:
    with Cache(but(given, scheduled_batch=100)) as cache:
        first = cache.invalidate("note:a", strategy="scheduled", by="one")
        second = cache.invalidate("note:a", strategy="scheduled", by="two")
        told = {receipt.id: receipt for receipt in cache.records()}
        assert (told[first.id].by, told[second.id].by) == ("one", "two")
        assert told[second.id].merged_into == first.id
        failed = failed_receipt(make_request(id=first.id, at=1.0, keys=["note:a"]), "x", 2.0)
        cache.stores.receipts.save([failed])
        assert {r.id for r in cache.records(status="failed")} == {first.id, second.id}
        assert [r.id for r in cache.records(by="two")] == [second.id]


def test_who_asked_is_on_record_and_in_the_log(given: Settings, cache: Cache) -> None:
    wiring = Wiring(given)
    request = make_request(id=uuid.uuid4().hex, at=time.time(), keys=["note:a"], by="till 4")
    (receipt,) = wiring.invalidator.run([request])
    assert receipt.by == "till 4"
    last = cache.why("note:a").last_invalidation
    assert last is not None
    assert (last.by, last.request) == ("till 4", request.id)
    wiring.cache.close()


def test_for_asyncio(given: Settings, cache: Cache) -> None:
    for i in range(PAGE + 5):
        keep(cache, f"{i:03d}", time.time())

    async def listed() -> list[str]:
        async with AsyncCache(given) as opened:
            return [receipt.id async for receipt in opened.records(status="failed")]

    assert asyncio.run(listed()) == ids(cache)
    assert len(ids(cache)) == PAGE + 5


def test_the_testing_kit_has_records_too() -> None:
    with MemoryCache() as cache:
        cache.invalidate("note:a", by="till")
        cache.invalidate("note:b")
        assert [receipt.names for receipt in cache.records()] == [["note:b"], ["note:a"]]
        assert [receipt.names for receipt in cache.records(by="till")] == [["note:a"]]


def test_a_request_that_waits_is_pending(cache: Cache) -> None:
    request = make_request(id="p", at=time.time(), keys=["note:a"])
    cache.stores.receipts.open(pending_receipt(request))
    assert ids(cache, status="pending") == ["p"]
