"""Watching what tells nobody: how little is asked, and nothing made up when lists fail."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cachekeeper.core.ports.origins import Changed, Listed, Origin, Version
from cachekeeper.errors import NotListable, OriginMissing, OriginUnavailable
from cachekeeper.origin.polling import changes
from tests.origins.conftest import aged
from tests.origins.faulty import faulty
from tests.origins.servers import dav_fields, only, web, webdav
from tests.support import wait_until

SOON_S = 0.001


class Tree:
    """Lists of a server that a test changes; ``refuses`` are the folders that it fails to list."""

    def __init__(self) -> None:
        self.files: dict[str, str] = {}
        self.tokens: dict[str, str] = {}
        self.refuses: dict[str, Exception] = {}
        self.asked: list[str] = []

    def list(self, folder: str) -> list[Listed]:
        self.asked.append(folder)
        if folder in self.refuses:
            raise self.refuses[folder]
        prefix = f"{folder}/" if folder else ""
        inside = {path.removeprefix(prefix) for path in self.files if path.startswith(prefix)}
        folders = {prefix + each.partition("/")[0] for each in inside if "/" in each}
        files = [prefix + each for each in inside if "/" not in each]
        return [Listed(path, Version(1, self.files[path])) for path in files] + [
            Listed(path, None, self.tokens.get(path, "")) for path in folders
        ]


@pytest.fixture
def tree() -> Tree:
    made = Tree()
    made.files = {"top": "1", "a/1": "1", "a/b/2": "1", "c/3": "1"}
    return made


class Passes:
    """A watcher that is let through one pass after the other."""

    def __init__(self, tree: Tree) -> None:
        self._stop = threading.Event()
        self._waits = threading.Semaphore(0)
        self._passed = threading.Semaphore(0)
        self.told: list[Changed] = []
        self._stop.wait = self._wait  # type: ignore[method-assign]  # instead of the time
        self._thread = threading.Thread(target=self._run, args=(tree,), daemon=True)
        self._thread.start()
        assert self._passed.acquire(timeout=20)

    def next(self) -> dict[str, bool]:
        """What one more pass tells."""
        self.told.clear()
        self._waits.release()
        assert self._passed.acquire(timeout=20)
        return {each.path: each.listing for each in self.told}

    def end(self) -> None:
        self._stop.set()
        self._waits.release()
        self._thread.join(20)
        assert not self._thread.is_alive()

    def _wait(self, timeout: float | None = None) -> bool:  # noqa: ARG002  # as it is called
        self._passed.release()
        self._waits.acquire()
        return self._stop.is_set()

    def _run(self, tree: Tree) -> None:
        for batch in changes("it", tree.list, self._stop, SOON_S):
            self.told.extend(batch)


@pytest.fixture
def passes(tree: Tree) -> Iterator[Callable[[], Passes]]:
    begun: list[Passes] = []

    def begin() -> Passes:
        begun.append(Passes(tree))
        return begun[-1]

    yield begin
    for each in begun:
        each.end()


def test_nothing_is_told_of_what_stays(tree: Tree, passes: Callable[[], Passes]) -> None:
    watching = passes()
    assert watching.next() == {}
    assert tree.asked.count("a/b") == 2


def test_each_kind_of_change_is_told_once(tree: Tree, passes: Callable[[], Passes]) -> None:
    watching = passes()
    tree.files |= {"top": "2", "a/new": "1"}
    assert watching.next() == {"top": False, "a/new": True}
    assert watching.next() == {}
    del tree.files["a/b/2"]
    assert watching.next() == {"a/b": True, "a/b/2": True}
    tree.files = {path.replace("c/", "d/"): token for path, token in tree.files.items()}
    assert watching.next() == {"c": True, "c/3": True, "d": True, "d/3": True}


def test_a_folder_whose_token_stays_is_not_looked_into(
    tree: Tree, passes: Callable[[], Passes]
) -> None:
    tree.tokens = {"a": "1", "a/b": "1", "c": "1"}
    watching = passes()
    tree.asked.clear()
    assert watching.next() == {}
    assert tree.asked == [""]
    tree.files["a/b/2"] = "2"
    tree.tokens |= {"a": "2", "a/b": "2"}
    tree.asked.clear()
    assert watching.next() == {"a/b/2": False}
    assert tree.asked == ["", "a", "a/b"]


def test_while_the_origin_is_away_nothing_is_gone(
    tree: Tree, passes: Callable[[], Passes], caplog: pytest.LogCaptureFixture
) -> None:
    watching = passes()
    tree.refuses[""] = OriginUnavailable("down")
    tree.files["top"] = "2"
    with caplog.at_level(logging.WARNING):
        assert watching.next() == watching.next() == {}
    assert caplog.text.count("down") == 1
    tree.refuses.clear()
    assert watching.next() == {"top": False}


@pytest.mark.parametrize("error", [OriginUnavailable("down"), OriginMissing("gone just now")])
def test_a_folder_that_fails_is_as_it_was_and_looked_into_again(
    tree: Tree, passes: Callable[[], Passes], error: Exception
) -> None:
    tree.tokens = {"a": "1", "a/b": "1", "c": "1"}
    watching = passes()
    tree.files |= {"a/b/2": "2", "top": "2"}
    tree.tokens |= {"a": "2", "a/b": "2"}
    tree.refuses["a/b"] = error
    assert watching.next() == {"top": False}
    tree.refuses.clear()  # its token stays, but what it stood for was never seen
    assert watching.next() == {"a/b/2": False}
    tree.asked.clear()
    assert watching.next() == {}
    assert tree.asked == [""]


@pytest.mark.parametrize("error", [OriginUnavailable("down"), NotListable("no lists")])
def test_a_watcher_that_can_not_begin_says_so(tree: Tree, error: Exception) -> None:
    tree.refuses[""] = error
    with pytest.raises(type(error)):
        next(iter(changes("it", tree.list, threading.Event(), SOON_S)))


@contextmanager
def watching(origin: Origin) -> Iterator[dict[str, bool]]:
    """What is told of an origin, by path."""
    stop, told = threading.Event(), dict[str, bool]()

    def follow() -> None:
        for batch in origin.watch(stop):
            told.update((each.path, each.listing) for each in batch)

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    try:
        yield told
    finally:
        stop.set()
        thread.join(30)


def test_a_nextcloud_is_asked_once_a_poll_and_for_what_changed(tmp_path: Path) -> None:
    folder = tmp_path / "library"
    for number in range(20):
        path = folder / f"album {number % 5}" / f"{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
        aged(path)
    with webdav(folder, tmp_path, "--tells") as process:
        origin = only(tmp_path, **dav_fields(process.port, tmp_path, poll_s=0.1))
        with watching(origin) as told:
            wait_until(lambda: len(process.asked()) >= 6 + 5)  # all of it, then five idle polls
            assert {each.count("/") for each in process.asked()[6:]} == {3}
            assert len(set(process.asked()[6:])) == 1
            aged(folder / "album 3" / "8")
            wait_until(lambda: told)
            assert told == {"it/album 3/8": False}
            assert {each for each in process.asked()[6:] if "album" in each} == {
                "PROPFIND /dav/my files/album 3/"
            }


@pytest.mark.parametrize("options", [(), ("--apart",)])
def test_a_plain_webdav_server_is_listed_whole(tmp_path: Path, options: tuple[str, ...]) -> None:
    """Its folders' ETags, where it has some, say nothing of what lies deeper."""
    deep = tmp_path / "library" / "a" / "b" / "c"
    deep.mkdir(parents=True)
    (deep / "1").write_bytes(b"x")
    with webdav(tmp_path / "library", tmp_path, *options) as process:
        origin = only(tmp_path, **dav_fields(process.port, tmp_path, poll_s=0.1))
        with watching(origin) as told:
            wait_until(lambda: len(process.asked()) >= 8)
            aged(deep / "1")
            wait_until(lambda: told)
            assert told == {"it/a/b/c/1": False}


def test_a_web_server_without_lists_can_not_be_watched(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Alone it says so; among others it is left out, and told in the log."""
    with faulty() as server, caplog.at_level(logging.WARNING):
        origin = only(tmp_path, url=server.url, poll_s=0.1)
        with watching(origin):
            wait_until(lambda: "origin_not_watched origin=it" in caplog.text)


def test_a_page_of_a_folder_may_go_without_the_files_being_gone(tmp_path: Path) -> None:
    """Somebody puts an index.html into it: the server shows that, and lists no more."""
    folder = tmp_path / "library"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "1").write_bytes(b"x")
    with web("index_server", folder) as process:
        origin = only(tmp_path, url=f"http://127.0.0.1:{process.port}/", poll_s=0.1)
        assert [each.path for each in origin.list("it/sub")] == ["it/sub/1"]
        (folder / "sub" / "index.html").write_text("<h1>My page</h1>")
        with pytest.raises(NotListable):
            origin.list("it/sub")
