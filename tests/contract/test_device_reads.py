"""What a device reads: streamed, verified, the last good copy while the origin is away."""

from __future__ import annotations

import gc
import hashlib
import os
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from cachekeeper.client.cache import Cache
from cachekeeper.core.device import Limits
from cachekeeper.errors import InvalidInput, OriginMissing, OriginUnavailable
from cachekeeper.services.evict import EvictionSweep
from cachekeeper.services.read import BODY_AT_MOST
from cachekeeper.settings import Settings
from tests.contract.conftest import marked
from tests.support import but

MIB = 1024 * 1024
DEVICE = "phone"


@pytest.fixture
def library(tmp_path: Path) -> Path:
    folder = tmp_path / "library"
    folder.mkdir()
    return folder


@pytest.fixture
def settings(here: Settings, library: Path) -> Settings:
    return but(
        here,
        origin=library,
        memory_bytes=0,
        prefetch=False,
        device_quota=100 * MIB,
        disk_min_free=0,
    )


@pytest.fixture
def cache(settings: Settings) -> Iterator[Cache]:
    with Cache(settings) as cache:
        yield cache


@contextmanager
def away(library: Path) -> Iterator[None]:
    """The origin can't be reached."""
    aside = library.with_name("away")
    library.rename(aside)
    try:
        yield
    finally:
        aside.rename(library)


def edit(cache: Cache, library: Path, path: str, body: bytes) -> None:
    new = library / f".{path}"
    new.write_bytes(body)
    new.replace(library / path)
    marked(cache.stores.marks, f"file:{path}")


def sweep(cache: Cache) -> dict[str, int]:
    stores = cache.stores
    return EvictionSweep(
        devices=stores.devices,
        files=stores.files,
        caches=cache.device_caches,
        collect=stores.disk.collect,
        now=cache.device_caches._now,
    ).run()


def blobs(cache: Cache) -> set[str]:
    return set(cache.stores.blobs.digests())


def test_a_large_file_never_sits_in_memory(cache: Cache, library: Path) -> None:
    size = 80 * MIB
    with (library / "film").open("wb") as file:
        file.truncate(size - 4)
        file.seek(0, os.SEEK_END)
        file.write(b"end!")
    device = cache.device(DEVICE)
    gc.collect()
    tracemalloc.start()
    try:
        reads = [device.get("film"), device.get("film")]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 * MIB
    assert [(read.size, read.hit, read.kept) for read in reads] == [
        (size, False, True),
        (size, True, True),
    ]
    for read in reads:
        with read.open() as file:
            file.seek(-4, os.SEEK_END)
            assert file.read() == b"end!"
    (held,) = cache.stores.devices.manifest(DEVICE).values()
    found = hashlib.sha256()
    with (library / "film").open("rb") as file:
        while piece := file.read(MIB):
            found.update(piece)
    assert held.sha256 == found.hexdigest()


def test_only_a_small_file_is_given_as_bytes(cache: Cache, library: Path) -> None:
    with (library / "film").open("wb") as file:
        file.truncate(BODY_AT_MOST + 1)
    with pytest.raises(InvalidInput, match="body: 67108865 is not allowed"):
        _ = cache.device(DEVICE).get("film").body
    (library / "note").write_bytes(b"note")
    read = cache.device(DEVICE).get("note")
    assert read.body == read.body == b"note"
    with read.open() as file:
        assert file.read() == b"note"


def test_a_file_is_opened_once_and_outlives_the_copy(cache: Cache, library: Path) -> None:
    (library / "a").write_bytes(b"a" * MIB)
    read = cache.device(DEVICE).get("a")
    cache.device_caches.evict(DEVICE, 1)
    with read.open() as file:
        assert file.read() == b"a" * MIB
    with pytest.raises(InvalidInput, match="open"):
        read.open()


def test_one_content_is_on_the_disk_once_for_devices_and_keys(cache: Cache, library: Path) -> None:
    for name in "ab":
        (library / name).write_bytes(b"same" * MIB)
    for device in ("phone", "tablet"):
        for name in "ab":
            assert cache.device(device).get(name).kept
    assert cache.files.get("a") == b"same" * MIB
    assert len(blobs(cache)) == 1
    assert cache.stats()["loader"] == 0  # the key is bound to what was streamed for a device


def test_a_second_device_needs_no_origin_for_what_is_here(cache: Cache, library: Path) -> None:
    (library / "large").write_bytes(b"l" * MIB)
    (library / "small").write_bytes(b"s")
    for name in ("large", "small"):
        cache.device("phone").get(name)
    with away(library):
        for name in ("large", "small"):
            read = cache.device("tablet").get(name)
            assert (read.kept, read.stale) == (True, False)


@pytest.mark.parametrize("size", [10, MIB])
def test_the_last_good_copy_is_served_while_the_origin_is_away(
    cache: Cache, library: Path, size: int
) -> None:
    (library / "a").write_bytes(b"a" * size)
    device = cache.device(DEVICE)
    device.get("a")
    edit(cache, library, "a", b"b" * size)
    with away(library):
        for _ in range(2):
            read = device.get("a")
            assert (read.body, read.hit, read.stale) == (b"a" * size, False, True)
        with pytest.raises(OriginUnavailable):
            device.get("never read")
    read = device.get("a")  # looked at again
    assert (read.body, read.stale, read.kept) == (b"b" * size, False, True)
    assert device.ledger().counters["served_stale"] == 2
    assert cache.stores.files.bytes_on_disk(DEVICE) == device.ledger().used == size


def test_a_file_that_the_origin_has_no_more_leaves_the_device(cache: Cache, library: Path) -> None:
    (library / "a").write_bytes(b"a" * MIB)
    device = cache.device(DEVICE)
    device.get("a")
    (library / "a").unlink()
    marked(cache.stores.marks, "file:a")
    with pytest.raises(OriginMissing):
        device.get("a")
    assert (device.ledger().used, device.ledger().items) == (0, 0)
    assert cache.stores.files.sizes(DEVICE) == {}


class Lying:
    """An origin that gives other bytes than it says."""

    def __init__(self, origin: Any, change: int) -> None:
        self._origin, self._change = origin, change

    def __getattr__(self, name: str) -> Any:
        return getattr(self._origin, name)

    def stat(self, path: str) -> Any:
        found = self._origin.stat(path)
        return type(found)(found.size + self._change, found.token)


@pytest.mark.parametrize(("change", "said"), [(-1, "gave more"), (1, f"gave {MIB}$")])
def test_an_origin_that_lies_about_a_size_changes_nothing(
    cache: Cache, library: Path, change: int, said: str
) -> None:
    (library / "a").write_bytes(b"a" * MIB)
    device = cache.device(DEVICE)
    device.get("a")
    edit(cache, library, "a", b"b" * MIB)
    before = blobs(cache)
    source: Any = cache.device_caches._source
    source._given = Lying(cache.origin, change)
    read = device.get("a")
    assert (read.body, read.stale) == (b"a" * MIB, True)
    cache.device_caches.evict(DEVICE, 1)
    with pytest.raises(OriginUnavailable, match=said):
        device.get("a")
    assert device.ledger().reserved == device.ledger().used == 0
    assert blobs(cache) == before
    assert not list((cache.stores.blobs.folder / "incoming").iterdir())


def test_a_file_that_changes_while_it_is_read_is_read_again(cache: Cache, library: Path) -> None:
    (library / "a").write_bytes(b"a" * 3 * MIB)
    opened = cache.origin.open if cache.origin else None
    times: list[str] = []

    def open_and_change(path: str) -> BinaryIO:
        assert opened is not None
        file = opened(path)
        if not times:
            file.read(MIB)
            file.seek(0)
            with (library / "a").open("r+b") as under:
                under.write(b"b" * 3 * MIB)
        times.append(path)
        return file

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cache.origin, "open", open_and_change)
        read = cache.device(DEVICE).get("a")
    assert (read.body, read.kept, len(times)) == (b"b" * 3 * MIB, True, 2)


def test_what_is_larger_than_the_quota_is_streamed_through(
    settings: Settings, library: Path
) -> None:
    (library / "film").write_bytes(b"f" * 2 * MIB)
    with Cache(but(settings, device_quota=MIB)) as small:
        read = small.device(DEVICE).get("film")
        assert (read.kept, read.hit, read.size) == (False, False, 2 * MIB)
        assert "larger than the quota of 1048576 bytes" in read.refused
        with read.open() as file:
            assert file.read() == b"f" * 2 * MIB
        assert blobs(small) == set()
        counters = small.device(DEVICE).ledger().counters
        assert (counters["refused"], counters["misses"]) == (1, 1)


@pytest.mark.parametrize("size", [10, MIB])
def test_what_would_leave_too_little_free_on_the_disk_is_not_kept(
    settings: Settings, library: Path, size: int
) -> None:
    (library / "a").write_bytes(b"a" * size)
    with Cache(but(settings, disk_min_free=1 << 60)) as full:
        device = full.device(DEVICE)
        read = device.get("a")
        assert (read.body, read.kept) == (b"a" * size, False)
        assert "disk_min_free" in read.refused
        assert (device.ledger().used, device.ledger().reserved) == (0, 0)
        assert blobs(full) == set()


def test_a_new_version_that_does_not_fit_beside_the_old_one_replaces_it(
    settings: Settings, library: Path
) -> None:
    """Once it is verified among the blobs; until then the old one stays."""
    (library / "a").write_bytes(b"a" * MIB)
    with Cache(but(settings, device_quota=MIB + 10)) as cache:
        device = cache.device(DEVICE)
        device.get("a")
        edit(cache, library, "a", b"b" * MIB)
        with away(library):
            assert device.get("a").stale
        read = device.get("a")
        assert (read.body, read.kept) == (b"b" * MIB, True)
        assert device.get("a").hit
        assert cache.stores.files.bytes_on_disk(DEVICE) == device.ledger().used == MIB


def test_a_device_over_its_lowered_quota_is_brought_down_and_shows_it(
    settings: Settings, library: Path
) -> None:
    with Cache(settings) as cache:
        for n in range(20):
            (library / f"f{n}").write_bytes(bytes([n]) * 10_000)
            cache.device(DEVICE).get(f"f{n}")
        assert cache.device(DEVICE).ledger().quota == 100 * MIB
    with Cache(but(settings, device_quota=100_000)) as cache:
        assert sweep(cache)["evicted"] == 11
        ledger = cache.device(DEVICE).ledger()
        assert (ledger.used, ledger.quota) == (90_000, 100_000)
        assert cache.stores.files.bytes_on_disk(DEVICE) == 90_000


@pytest.mark.parametrize("then", ["gdga", "retention", "lru"])
@pytest.mark.parametrize("first", ["gdga", "retention", "lru"])
def test_another_policy_takes_over_what_is_held(
    settings: Settings, library: Path, first: str, then: str
) -> None:
    for n in range(6):
        (library / f"f{n}").write_bytes(bytes([n]) * 1000)
    with Cache(but(settings, device_policy=first)) as cache:
        for n in range(6):
            cache.device(DEVICE).get(f"f{n}")
        cache.device_caches.evict(DEVICE, 1000)
    with Cache(but(settings, device_policy=then)) as cache:
        sweep(cache)
        cache.device(DEVICE).get("f5")
        assert len(cache.device_caches.evict(DEVICE, 10_000)) == 5
        for n in range(6):
            assert cache.device(DEVICE).get(f"f{n}").kept


def test_a_policy_refuses_what_is_worth_less_and_says_so(cache: Cache, library: Path) -> None:
    """GDG-A: what was read twice is worth more than what is seen for the first time."""
    caches = cache.device_caches
    caches.limits = lambda _: Limits(30_000, 0, "gdga")
    for n in range(4):
        (library / f"f{n}").write_bytes(bytes([n]) * 10_000)
    for n in (0, 1, 2, 0, 1, 2):
        caches.get(DEVICE, f"f{n}")
    read = caches.get(DEVICE, "f3")
    assert (read.kept, len(read.body)) == (False, 10_000)
    assert "worth less" in read.refused
    again = [caches.get(DEVICE, "f3").kept for _ in range(3)]  # it is remembered
    assert again[-1]


def test_what_a_policy_remembers_is_bounded(cache: Cache, library: Path) -> None:
    caches, layout = cache.device_caches, cache.stores.connection.layout
    caches.limits = lambda _: Limits(10_000, 0, "gdga")
    for n in range(200):
        (library / f"f{n}").write_bytes(bytes([n]) * 1000)
        caches.get(DEVICE, f"f{n}")
    known = cache.stores.connection.redis.hlen(layout.device_state(DEVICE))
    assert known == 10 + 2 * 10  # held, and twice the quota


def test_the_index_of_expiries_is_bounded(cache: Cache, library: Path) -> None:
    """Evictions leave it alone; the sweep clears it when most of it has gone."""
    caches, layout = cache.device_caches, cache.stores.connection.layout
    (library / "a").write_bytes(b"a")
    caches.get(DEVICE, "a")
    index = layout.device_expires(DEVICE)
    gone = {f"gone{n}": 1e12 for n in range(3000)}
    cache.stores.connection.redis.zadd(index, gone)
    assert caches.expire(DEVICE) == []
    assert cache.stores.connection.redis.zcard(index) <= 1002
    assert caches.get(DEVICE, "a").hit


def test_a_hit_is_one_round_trip(cache: Cache, library: Path) -> None:
    (library / "a").write_bytes(b"a")
    device = cache.device(DEVICE)
    device.get("a")
    asked = []
    sockets = cache.stores.connection._sockets
    ask = sockets.ask

    def watched(*given: Any) -> Any:
        asked.append(given)
        return ask(*given)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sockets, "ask", watched)
        patch.delattr(cache.stores.connection, "redis")  # nothing goes past the script
        assert device.get("a").hit
    assert len(asked) == 1
