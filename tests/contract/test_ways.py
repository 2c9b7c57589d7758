"""From all that a stored value goes back to there is a way to it in the graph."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cachekeeper.client.cache import Cache
from cachekeeper.client.namespace import Namespace
from cachekeeper.settings import Settings
from tests.support import wait_until

MANY = 120  # sources fold into a group


class Process:
    """A producer: a note is made from lists, a list from items; which, the test says."""

    def __init__(self, settings: Settings) -> None:
        self.cache = Cache(settings)
        self.made_of: dict[str, list[str]] = {}
        self.spaces: dict[str, Namespace] = {}
        for name in ("item", "list", "note"):
            self._declare(name)

    def get(self, key: str) -> bytes:
        """A value by its full key."""
        name, _, rest = key.partition(":")
        body: bytes = self.spaces[name].get(rest)
        return body

    def keep(self, key: str, *inputs: str) -> None:
        """Read it, made from these, and have it in memory."""
        self.made_of[key] = list(inputs)
        self.get(key)
        wait_until(lambda: self.cache.tiers["memory"].read(key))

    def put(self, key: str, *inputs: str, body: bytes = b"put") -> None:
        """Fill it, made from these, in the place of whatever is there."""
        name, _, rest = key.partition(":")
        with self.spaces[name].fill(rest) as fill:
            for each in inputs:
                self.get(each)
            assert fill.put(body)

    def _declare(self, name: str) -> None:
        self.spaces[name] = space = self.cache.namespace(name)

        @space.loader
        def load(rest: str) -> bytes:
            return b"".join([b".", *map(self.get, self.made_of.get(f"{name}:{rest}", ()))])


@pytest.fixture
def settings(server_url: str, deployment: str, tmp_path: Path) -> Settings:
    urls: dict[str, Any] = {"cache_url": server_url, "broker_url": server_url}
    return Settings(state=tmp_path, deployment=deployment, redis_value_bytes=1000, **urls)


@pytest.fixture
def here(settings: Settings) -> Iterator[Process]:
    process = Process(settings)
    yield process
    process.cache.close()


@pytest.fixture
def there(settings: Settings) -> Iterator[Process]:
    process = Process(settings)
    yield process
    process.cache.close()


def reached(cache: Cache, key: str) -> set[str]:
    """What hangs below a key."""
    found, waiting = set[str](), [key]
    while waiting:
        below = set(cache.stores.graph.dependents(waiting.pop())) - found
        found |= below
        waiting += below
    return found


def evict(cache: Cache, key: str) -> None:
    """As a full server would."""
    layout = cache.stores.connection.layout
    cache.stores.connection.redis.unlink(layout.value(key), layout.binding(key))


def test_of_what_is_stored_as_it_was_read_the_edge_is_enough(here: Process) -> None:
    here.keep("list:a", "item:1", "item:2")
    here.keep("note:a", "list:a")
    assert here.cache.stores.graph.inputs("note:a") == ["list:a"]
    assert "linked_to_all" not in here.cache.stores.graph.statistics()


def test_memory_may_hold_what_was_made_anew_since_from_less(here: Process, there: Process) -> None:
    here.keep("list:a", "item:1")
    there.put("list:a", "item:2")
    here.keep("note:a", "list:a")
    assert "note:a" in reached(here.cache, "item:1")
    assert here.cache.stores.graph.statistics()["linked_to_all"] == 1


def test_memory_may_hold_what_was_evicted_and_pruned(here: Process) -> None:
    here.keep("list:a", "item:1")
    evict(here.cache, "list:a")
    assert here.cache.stores.graph.prune(["list:a"]) == ["list:a"]
    here.keep("note:a", "list:a")
    assert "note:a" in reached(here.cache, "item:1")


def test_what_it_goes_back_to_may_be_a_group(here: Process, there: Process) -> None:
    items = [f"item:{i}" for i in range(MANY)]
    here.keep("list:a", *items)
    there.put("list:a", "item:none of them")
    here.keep("note:a", "list:a")
    assert all("note:a" in reached(here.cache, item) for item in items)


def test_a_loader_may_have_read_two_versions(here: Process, there: Process) -> None:
    here.keep("list:a", "item:1")
    with here.spaces["note"].fill("a") as fill:
        here.get("list:a")
        there.put("list:a", "item:2")
        here.cache.tiers["memory"].remove(["list:a"])
        here.get("list:a")
        assert fill.put(b"of both")
    assert "note:a" in reached(here.cache, "item:1") & reached(here.cache, "item:2")


def test_what_is_declared_may_be_in_memory_only(here: Process, there: Process) -> None:
    here.keep("list:a", "item:1")
    here.keep("note:a")
    there.put("list:a", "item:2")
    here.cache.depend("note:a", on="list:a")
    assert "note:a" in reached(here.cache, "item:1")


def test_what_is_declared_reaches_what_was_made_from_memory(here: Process, there: Process) -> None:
    here.keep("list:a")
    here.cache.depend("list:a", on="item:1")
    there.put("list:a", "item:2")
    here.keep("note:a", "list:a")
    assert "note:a" in reached(here.cache, "item:1")


@pytest.mark.parametrize("sizes", [(1, 2000), (2000, 1)], ids=["small first", "large first"])
def test_a_key_has_one_version_whatever_tier_it_belongs_to(
    here: Process, there: Process, sizes: tuple[int, int]
) -> None:
    for size in sizes:
        here.put("list:a", f"item:{size}", body=b"x" * size)
    assert len(there.get("list:a")) == sizes[1]
    tiers = here.cache.stores
    assert len(tiers.redis.present(["list:a"]) + tiers.disk.present(["list:a"])) == 1


def test_a_copy_is_kept_only_while_there_is_what_was_copied(here: Process) -> None:
    """Slow, it would bring back a version that the graph knows nothing of any more."""
    stores = here.cache.stores
    here.put("list:a", body=b"x" * 2000)
    copy = stores.disk.read("list:a")
    assert copy is not None
    copy = copy._replace(entry=copy.entry._replace(body=b"as if it were small"))
    assert stores.redis.fill("list:a", copy, None) is not None
    here.put("list:a", body=b"y" * 2000)
    assert stores.redis.fill("list:a", copy, None) is None
    evict(here.cache, "list:a")
    assert stores.redis.fill("list:a", copy, None) is None
