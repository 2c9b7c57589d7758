"""A device that reads a WebDAV origin, end to end."""

from __future__ import annotations

import gc
import os
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from cachekeeper.client.cache import Cache
from cachekeeper.errors import OriginUnavailable
from cachekeeper.settings import Settings
from tests.contract.conftest import marked
from tests.origins.conftest import aged
from tests.origins.servers import Process, dav_fields, webdav

MIB = 1024 * 1024
SIZES = {"it/small": 1000, "it/large": 3_000_000}  # the first goes through Redis, the other not


@pytest.fixture
def library(tmp_path: Path) -> Path:
    folder = tmp_path / "library"
    folder.mkdir()
    for path, size in SIZES.items():
        (folder / path.removeprefix("it/")).write_bytes(os.urandom(size))
    return folder


@pytest.fixture
def server(library: Path, tmp_path: Path) -> Iterator[Process]:
    with webdav(library, tmp_path) as process:
        yield process


@pytest.fixture
def cache(server: Process, server_url: str, deployment: str, tmp_path: Path) -> Iterator[Cache]:
    settings = Settings(
        cache_url=server_url,
        broker_url=server_url,
        deployment=deployment,
        state=tmp_path / "state",
        origins={"it": dav_fields(server.port, tmp_path, failures=1)},
        memory_bytes=0,
        prefetch=False,
        disk_min_free=0,
    )
    with Cache(settings) as cache:
        yield cache


def test_a_film_never_sits_in_memory(cache: Cache, library: Path) -> None:
    size = 60 * MIB
    with (library / "film").open("wb") as file:
        file.truncate(size - 4)
        file.seek(0, os.SEEK_END)
        file.write(b"end!")
    gc.collect()
    tracemalloc.start()
    try:
        read = cache.device("phone").get("it/film")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 * MIB
    assert (read.size, read.kept) == (size, True)
    with read.open() as copy:
        copy.seek(-4, os.SEEK_END)
        assert copy.read() == b"end!"


@pytest.mark.parametrize("path", SIZES)
def test_a_device_reads_keeps_renews_and_lives_without_the_server(
    cache: Cache, server: Process, library: Path, path: str
) -> None:
    file = library / path.removeprefix("it/")
    device = cache.device("phone")
    first = device.get(path)
    assert (first.body, first.hit, first.kept) == (file.read_bytes(), False, True)
    asked = len(server.asked())
    second = device.get(path)
    assert (second.body, second.hit) == (file.read_bytes(), True)
    assert len(server.asked()) == asked

    file.write_bytes(os.urandom(SIZES[path]))
    aged(file)
    marked(cache.stores.marks, f"file:{path}")
    third = device.get(path)
    assert (third.body, third.hit, third.stale) == (file.read_bytes(), False, False)

    server.stop()
    marked(cache.stores.marks, f"file:{path}")
    for _ in range(3):  # also while the server is left alone
        late = device.get(path)
        assert (late.body, late.hit, late.stale) == (file.read_bytes(), False, True)
    with pytest.raises(OriginUnavailable):
        device.get("it/never read")
