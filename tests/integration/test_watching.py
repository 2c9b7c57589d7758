"""A real watcher, real workers: what changes in the folder is never served stale."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from bench.servers import Bed, bed
from bench.workers import environment, worker
from cachekeeper.client.cache import Cache
from cachekeeper.client.changes import ChangeDesk
from cachekeeper.errors import OriginMissing
from cachekeeper.local.server import EmbeddedServer
from cachekeeper.settings import PREFIX, load
from tests.support import unused_port, wait_until

SEEN_S = 30.0
#: Writes of one file, and how often it is told at most.
WRITES, TOLD = 20, 8


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("library")


@pytest.fixture(scope="module")
def server(library: Path) -> Iterator[Bed]:
    """A server with the workers of ``up``, for which the library is the origin."""
    with bed() as started, ExitStack() as stack:
        stack.enter_context(pytest.MonkeyPatch.context()).setenv(f"{PREFIX}ORIGIN", str(library))
        stack.enter_context(worker(started, "immediate"))
        stack.enter_context(worker(started, "general"))
        yield started


@pytest.fixture
def cache(server: Bed, library: Path) -> Iterator[Cache]:
    with server.cache(origin=library) as opened:
        yield opened


@pytest.fixture
def folder(library: Path) -> Path:
    """A folder of the test's own, with some files."""
    folder = library / uuid.uuid4().hex[:8]
    (folder / "album" / "inner").mkdir(parents=True)
    for path in ("a.txt", "b.txt", "album/c.txt", "album/inner/d.txt"):
        (folder / path).write_text(f"old {path}")
    return folder


@contextmanager
def watching(env: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A watcher, from when it watches until its end."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "cachekeeper.watcher"],
            env=os.environ | env,
            stderr=output,
        )
    try:
        wait_until(lambda: "watch: watching" in log.read_text(), SEEN_S)
        yield process
    finally:
        process.terminate()
        assert process.wait(SEEN_S) in {0, -signal.SIGKILL}


@pytest.fixture
def watcher(
    server: Bed, cache: Cache, tmp_path: Path, library: Path
) -> Iterator[subprocess.Popen[bytes]]:
    env = environment(server) | {f"{PREFIX}ORIGIN": str(library)}
    before = cache.stores.sweeps.state().finished
    with watching(env, tmp_path / "watch.log") as process:
        wait_until(lambda: swept(cache) > before, SEEN_S)  # the first pass has all forgotten
        yield process


def swept(cache: Cache) -> float:
    state = cache.stores.sweeps.state()
    return 0.0 if state.phase else state.finished


class Reader:
    """Reads the files of a folder through the cache."""

    def __init__(self, cache: Cache, library: Path, folder: Path) -> None:
        self._cache, self._folder = cache, folder
        self._top = folder.relative_to(library).as_posix()

    def path(self, path: str) -> str:
        return f"{self._top}/{path}"

    def __call__(self, path: str) -> str | None:
        try:
            body: bytes = self._cache.files.get(self.path(path))
        except OriginMissing:
            return None
        return body.decode()

    def fill(self) -> None:
        """Have everything in all tiers."""
        for path in self._folder.rglob("*"):
            if path.is_file():
                self(path.relative_to(self._folder).as_posix())

    def sees(self, **files: str | None) -> None:
        """Wait until files are read so; dots stand for slashes, and are no part of a name."""
        for name, body in files.items():
            path = f"{name.replace('__', '/')}.txt"
            wait_until(lambda path=path, body=body: self(path) == body, SEEN_S)  # type: ignore[misc]


@pytest.fixture
def read(cache: Cache, library: Path, folder: Path, watcher: object) -> Reader:  # noqa: ARG001
    reader = Reader(cache, library, folder)
    # What the watcher was told of the new folder is done when an edit in it is.
    (folder / "begun.txt").write_text("1")
    wait_until(lambda: told(cache, reader.path("begun.txt")), SEEN_S)
    reader.fill()
    return reader


def told(cache: Cache, path: str) -> int:
    """Requests of watchers and sweeps that named a file."""
    return sum(f"file:{path}" in receipt.names for receipt in cache.records())


def test_edits_renames_and_deletions_are_seen(read: Reader, folder: Path) -> None:
    (folder / "a.txt").write_text("new")
    read.sees(a="new")
    (folder / "part").write_text("replaced")
    (folder / "part").replace(folder / "a.txt")
    read.sees(a="replaced")
    (folder / "b.txt").rename(folder / "z.txt")
    read.sees(b=None, z="old b.txt")
    (folder / "z.txt").unlink()
    read.sees(z=None)


def test_a_folder_that_is_moved_or_deleted_takes_all_in_it_with_it(
    read: Reader, folder: Path
) -> None:
    (folder / "album").rename(folder / "shelf")
    read.sees(album__c=None, album__inner__d=None, shelf__c="old album/c.txt")
    read.sees(shelf__inner__d="old album/inner/d.txt")
    (folder / "shelf" / "inner" / "d.txt").write_text("new")
    read.sees(shelf__inner__d="new")
    shutil.rmtree(folder / "shelf")
    read.sees(shelf__c=None, shelf__inner__d=None)


def test_lists_of_folders_are_told(read: Reader, cache: Cache, folder: Path) -> None:
    lists = cache.namespace(f"folder-{folder.name}", serializer="json")
    listed = cache.namespace("folder", serializer="json")
    listed.loader(lambda path: sorted(p.name for p in (folder.parent / path).iterdir()))
    lists.loader(lambda path: len(listed.get(path)))
    album = read.path("album")
    assert (listed.get(album), lists.get(album)) == (["c.txt", "inner"], 2)
    (folder / "album" / "e.txt").write_text("e")
    wait_until(lambda: lists.get(album) == 3, SEEN_S)
    assert listed.get(album) == ["c.txt", "e.txt", "inner"]


def test_a_link_is_another_name(read: Reader, folder: Path) -> None:
    (folder / "link.txt").symlink_to("album/c.txt")
    read.sees(link="old album/c.txt")
    (folder / "album" / "c.txt").write_text("new")
    read.sees(link="new", album__c="new")


def test_a_file_that_is_written_slowly_is_told_a_few_times_and_its_end_is_seen(
    read: Reader, cache: Cache, folder: Path
) -> None:
    before = told(cache, read.path("a.txt"))
    with (folder / "a.txt").open("w") as file:
        for number in range(WRITES):
            file.write(f"{number} ")
            file.flush()
            read("a.txt")
            time.sleep(0.15)  # this slowly: that is what is tried
    read.sees(a="".join(f"{number} " for number in range(WRITES)))
    assert 1 <= told(cache, read.path("a.txt")) - before <= TOLD


@pytest.mark.slow
def test_what_changes_while_no_watcher_lives_is_found_when_one_does(
    read: Reader,
    cache: Cache,
    server: Bed,
    folder: Path,
    library: Path,
    watcher: subprocess.Popen[bytes],
    tmp_path: Path,
) -> None:
    watcher.kill()
    watcher.wait()
    (folder / "a.txt").write_text("new")
    (folder / "album").rename(folder / "shelf")
    (folder / "b.txt").unlink()
    assert read("a.txt") == "old a.txt"  # nobody has said that it changed
    env = environment(server) | {f"{PREFIX}ORIGIN": str(library)}
    with watching(env, tmp_path / "again.log"):
        read.sees(a="new", b=None, album__inner__d=None, shelf__c="old album/c.txt")
    before = swept(cache)
    ChangeDesk(cache).sweep()
    wait_until(lambda: swept(cache) > before, SEEN_S)
    state = cache.stores.sweeps.state()
    assert (state.changed, state.new, state.gone) == (0, 0, 0)


def test_two_watchers_do_no_harm(
    read: Reader, cache: Cache, server: Bed, folder: Path, library: Path, tmp_path: Path
) -> None:
    env = environment(server) | {f"{PREFIX}ORIGIN": str(library)}
    with watching(env, tmp_path / "second.log"):
        wait_until(lambda: len(ChangeDesk(cache).watched()) == 2, SEEN_S)
        for number in range(10):
            (folder / "a.txt").write_text(str(number))
            read.sees(a=str(number))


@pytest.mark.slow
def test_the_server_and_the_folder_may_go_away_and_come_back(tmp_path: Path) -> None:
    """Without a worker: that the watcher submits is what is looked at."""
    library, port = tmp_path / "library", unused_port()
    library.mkdir()
    (library / "a.txt").write_text("old")
    url = f"redis://127.0.0.1:{port}/0"
    given = {"state": str(tmp_path / "state"), "broker_url": url, "cache_url": url}
    env = {f"{PREFIX}{name.upper()}": value for name, value in given.items()}
    log = tmp_path / "watch.log"
    with ExitStack() as stack:
        server = stack.enter_context(EmbeddedServer(tmp_path / "server", port=port))
        stack.enter_context(watching(env | {f"{PREFIX}ORIGIN": str(library)}, log))
        server.stop()
        (library / "a.txt").write_text("while it was away")
        wait_until(lambda: "changes are held" in log.read_text(), SEEN_S)
        server.start()
        wait_until(lambda: "submitted again" in log.read_text(), SEEN_S)
        with Cache(load(**given, memory_bytes=0)) as cache:
            assert told(cache, "a.txt") == 1
            library.rename(tmp_path / "elsewhere")
            wait_until(lambda: "not watching" in log.read_text(), SEEN_S)
            (tmp_path / "elsewhere").rename(library)
            wait_until(lambda: log.read_text().count("watch: watching") == 2, SEEN_S)
            (library / "b.txt").write_text("new")
            wait_until(lambda: told(cache, "b.txt"), SEEN_S)
