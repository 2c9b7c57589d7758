"""What an invalidation would do is what it then does; looking changes nothing."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator

import pytest

from cachekeeper import AsyncCache, Cache, InvalidInput
from cachekeeper.core.preview import Members, Step, Weight
from cachekeeper.core.request import make_request
from cachekeeper.errors import ConfigurationError
from cachekeeper.services import preview
from cachekeeper.settings import Settings
from cachekeeper.store.redis.expiry import RedisExpiry
from cachekeeper.testing import MemoryCache
from tests.support import but
from workers.wiring import Wiring

NODE = "node"


@pytest.fixture
def given(here: Settings) -> Settings:
    return but(here, memory_bytes=0, purge_budget=1000)


@pytest.fixture
def cache(given: Settings) -> Iterator[Cache]:
    """Two notes, a page of each, and a book of the pages, which is on disk."""
    with Cache(given) as opened:
        notes, pages = opened.namespace("note"), opened.namespace("page")
        books = opened.namespace("book", on_disk=True)
        notes.loader(lambda name: name.encode())
        pages.loader(lambda name: notes.get(name))
        books.loader(lambda _: pages.get("milk") + pages.get("bread"))
        books.get("all")
        yield opened


def everything(cache: Cache) -> dict[bytes, object]:
    """Every key of the deployment on the server, with its value."""
    redis = cache.stores.connection.redis
    names = redis.scan_iter(match=f"{cache.stores.connection.layout.prefix}*", count=1000)
    return {name: redis.dump(name) for name in names}


def test_it_tells_what_the_invalidation_then_does_and_changes_nothing(
    cache: Cache, given: Settings
) -> None:
    before, epoch = everything(cache), cache.stores.marks.now()
    found = cache.preview(["note:milk", "note:bread"], consistency="strict")
    assert everything(cache) == before
    assert cache.stores.marks.now() == epoch
    assert list(cache.records()) == []

    wiring = Wiring(given)
    fields = {"keys": ["note:milk", "note:bread"], "consistency": "strict"}
    request = make_request(id=uuid.uuid4().hex, at=time.time(), **fields)
    (receipt,) = wiring.invalidator.run([request])
    wiring.cache.close()
    assert [step.key for step in found.steps] == receipt.affected
    assert (found.keys, found.depth) == (receipt.affected_count, receipt.depth) == (5, 2)
    assert found.limits == receipt.limits == []
    assert {tier: weight.entries for tier, weight in found.held.items()} == receipt.batch_removed
    assert found.nodes == receipt.nodes_asked == []


def test_each_key_is_told_with_an_edge_that_there_is(cache: Cache) -> None:
    steps = cache.preview("note:milk").steps
    assert steps == [
        Step("note:milk", ""),
        Step("page:milk", "note:milk"),
        Step("book:all", "page:milk"),
    ]


def test_a_cycle_is_no_trouble(cache: Cache) -> None:
    cache.stores.graph.link("note:milk", ["book:all"])
    found = cache.preview("note:milk")
    assert {step.key: step.reached_by for step in found.steps} == {
        "note:milk": "",
        "page:milk": "note:milk",
        "book:all": "page:milk",
    }
    assert found.limits == ["1 cycles, each removed as a whole"]


def test_bytes_are_counted_by_tier_each_blob_once(cache: Cache) -> None:
    copies = cache.namespace("copy", on_disk=True)
    copies.loader(lambda _: b"milkbread")
    copies.get("a")
    found = cache.preview(["note:milk", "copy:a"])
    assert found.held["disk"] == Weight(entries=2, bytes=len(b"milkbread"))
    assert found.held["redis"].entries == 4
    assert found.held["redis"].bytes > len(b"milk") * 2


def test_a_key_that_nobody_knows_would_be_invalidated_all_the_same(cache: Cache) -> None:
    found = cache.preview("note:nobody")
    assert (found.steps, found.keys) == ([Step("note:nobody", "")], 1)
    assert found.held["redis"] == Weight(0, 0)


def test_without_cascade_it_stops_at_the_key(cache: Cache) -> None:
    found = cache.preview("note:milk", cascade=False)
    assert (found.steps, found.keys) == ([Step("note:milk", "")], 1)


def test_limits_are_told_and_all_that_would_be_stale_is_counted(
    cache: Cache, given: Settings
) -> None:
    cache.stores.graph.link("shelf:a", ["book:all"])
    with Cache(but(given, depth_limit=1)) as shallow:
        found = shallow.preview("note:milk")
        assert [step.key for step in found.steps] == ["note:milk", "page:milk"]
        assert found.keys == 4
        assert found.limits[0].startswith("depth limit 1: 1 keys and what was derived")
        assert found.limits[1] == "shown are 2 of 4 keys"
    with Cache(but(given, purge_budget=2)) as small:
        assert small.preview("note:milk").limits[0].startswith("size budget: more than 2 keys")
    found = cache.preview("note:milk", shown=1)
    assert (found.steps, found.keys) == ([Step("note:milk", "")], 4)


def test_bytes_that_are_not_counted_are_told(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preview, "WEIGHED", 2)
    found = cache.preview("note:milk")
    assert (found.weighed, found.keys, found.held["disk"].entries) == (2, 3, 0)
    assert found.limits == ["bytes are those of the first 2 of 3 keys"]


def test_a_namespace_is_counted_and_a_tag_can_not_be(
    cache: Cache,
) -> None:
    found = cache.preview(namespace="page", tag="red")
    assert (found.steps, found.keys) == ([], 0)
    assert found.members == [Members("page", found=2, looked_at=5, complete=True)]
    assert any(limit.startswith("tags: what has one is listed nowhere") for limit in found.limits)
    more = cache.namespace("more")
    more.loader(lambda name: name.encode())
    for i in range(600):
        more.get(str(i))
    expiry, now = RedisExpiry(cache.stores.connection), time.time()
    assert expiry.members("more", now, 10_000) == Members("more", 600, 605, complete=True)
    assert expiry.members("more", now + 1e9, 10_000).found == 0
    some = expiry.members("more", now, 10)
    assert (some.complete, some.looked_at < 605) == (False, True)


def test_the_nodes_that_would_be_asked(cache: Cache, given: Settings) -> None:
    with Cache(but(given, memory_bytes=1_000_000)):
        assert cache.preview("note:milk").nodes == sorted(cache.stores.nodes.acknowledged()[1])
        assert len(cache.preview("note:milk").nodes) == 1


def test_what_is_malformed_is_named(cache: Cache) -> None:
    for arguments, field in (
        ({"keys": ["nokey"]}, "keys[0]"),
        ({"keys": []}, "keys"),
        ({"keys": ["note:a"], "shown": 0}, "shown"),
        ({"keys": ["note:a"], "shown": 1001}, "shown"),
        ({"keys": ["note:a"], "strategy": "never"}, "strategy"),
    ):
        with pytest.raises(InvalidInput) as caught:
            cache.preview(**arguments)
        assert caught.value.field == field


def test_for_asyncio_and_not_in_the_testing_kit(given: Settings, cache: Cache) -> None:
    async def previewed() -> list[Step]:
        async with AsyncCache(given) as opened:
            return (await opened.preview("note:milk")).steps

    assert asyncio.run(previewed()) == cache.preview("note:milk").steps
    with MemoryCache() as kit, pytest.raises(ConfigurationError, match="testing kit"):
        kit.preview("note:milk")


def test_a_client_imports_neither_numpy_nor_networkx() -> None:
    code = "import sys, cachekeeper.client.aio; print({'numpy', 'networkx'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
