"""What a watched folder tells, by the operating system's own events."""

from __future__ import annotations

import os
import queue
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cachekeeper.core.ports.origins import Changed
from cachekeeper.errors import OriginUnavailable
from cachekeeper.origin.folder import FolderOrigin
from tests.support import wait_until

TOLD_S = 30.0


class Watched:
    """A folder, and the changes that were told of it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.told, self.error = folder, dict[str, bool](), ""
        self._stop, self._ready = threading.Event(), threading.Event()
        self._batches: queue.Queue[list[Changed]] = queue.Queue()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        assert self._ready.wait(TOLD_S)

    def _watch(self) -> None:
        try:
            for batch in FolderOrigin(self.folder).watch(self._stop):
                self._ready.set()
                self._batches.put(list(batch))
        except OriginUnavailable as error:
            self.error = str(error)
            self._ready.set()

    def wait(self, *paths: str) -> dict[str, bool]:
        """All that was told since the last time, once these are among it."""
        self.told = {}

        def all_told() -> bool:
            while not self._batches.empty():
                self.told |= dict(self._batches.get())
            return set(paths) <= self.told.keys()

        wait_until(all_told, TOLD_S)
        return self.told

    def close(self) -> None:
        self._stop.set()
        self._thread.join()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "library"
    (root / "album").mkdir(parents=True)
    (root / "album" / "a.jpg").write_bytes(b"a")
    (root / "b.txt").write_bytes(b"b")
    return root


@pytest.fixture
def watch(root: Path) -> Iterator[Callable[[], Watched]]:
    opened: list[Watched] = []

    def watch() -> Watched:
        opened.append(Watched(root))
        return opened[-1]

    yield watch
    for each in opened:
        each.close()


def test_edits_new_files_deletions_and_renames(root: Path, watch: Callable[[], Watched]) -> None:
    watched = watch()
    (root / "b.txt").write_bytes(b"c")
    assert watched.wait("b.txt") == {"b.txt": False}
    (root / "new.txt").write_bytes(b"c")
    assert watched.wait("new.txt")["new.txt"] is True
    (root / "new.txt").replace(root / "b.txt")
    assert watched.wait("new.txt", "b.txt") == {"new.txt": True, "b.txt": True}
    (root / "b.txt").unlink()
    assert watched.wait("b.txt")["b.txt"] is True
    (root / "album").rename(root / "other")
    assert watched.wait("album", "other", "other/a.jpg") == {
        "album": True,
        "other": True,
        "other/a.jpg": True,
    }
    (root / "other" / "a.jpg").write_bytes(b"c")
    assert watched.wait("other/a.jpg") == {"other/a.jpg": False}


@pytest.mark.parametrize("name", ["backup.txt~", "x.pyc", "node_modules", "a.swp", "Thumbs.db"])
def test_a_name_that_other_programs_take_for_nothing_is_a_file_as_any(
    root: Path, watch: Callable[[], Watched], name: str
) -> None:
    watched = watch()
    (root / name).write_bytes(b"c")
    watched.wait(name)


def test_hidden_files_are_nobodys(root: Path, watch: Callable[[], Watched]) -> None:
    watched = watch()
    (root / ".git").mkdir()
    (root / ".git" / "index").write_bytes(b"c")
    (root / ".part").write_bytes(b"c")
    (root / ".part").rename(root / "whole.txt")
    assert watched.wait("whole.txt") == {"whole.txt": True}


def test_a_file_is_told_by_the_links_to_it(root: Path, watch: Callable[[], Watched]) -> None:
    (root / "link").symlink_to("second")
    (root / "second").symlink_to("album/a.jpg")
    (root / "shelf").symlink_to("album", target_is_directory=True)
    (root / "zoo").symlink_to("album", target_is_directory=True)
    (root / "album" / "loop").symlink_to("..", target_is_directory=True)
    watched = watch()
    (root / "album" / "a.jpg").write_bytes(b"c")
    names = {"album/a.jpg", "shelf/a.jpg", "zoo/a.jpg", "second", "link"}
    assert watched.wait(*names).keys() == names
    (root / "late").symlink_to("b.txt")
    watched.wait("late")
    (root / "b.txt").write_bytes(b"c")
    watched.wait("late", "b.txt")
    (root / "late").unlink()
    watched.wait("late")
    (root / "b.txt").write_bytes(b"d")
    assert watched.wait("b.txt").keys() == {"b.txt"}


@pytest.mark.parametrize("target", ["../album", ".."])
def test_a_link_to_a_folder_that_goes_has_all_watched_anew(
    root: Path, watch: Callable[[], Watched], target: str
) -> None:
    """What was watched through it is not watched any more, or told by its name only."""
    (root / "links").mkdir()
    (root / "links" / "link").symlink_to(target, target_is_directory=True)
    watched = watch()
    (root / "links").rename(root / "moved")
    assert "watched anew" in wait_until(lambda: watched.error, TOLD_S)
    assert {"links", "moved"} <= watched.wait("links").keys()
    anew = watch()
    (root / "album" / "a.jpg").write_bytes(b"c")
    anew.wait("album/a.jpg")


@pytest.mark.parametrize("how", ["renamed", "deleted", "replaced"])
def test_a_folder_that_goes_away_ends_it(
    root: Path, watch: Callable[[], Watched], how: str
) -> None:
    watched = watch()
    if how == "deleted":
        shutil.rmtree(root)
    else:
        root.rename(root.with_name("elsewhere"))
    if how == "replaced":
        root.mkdir()
    error = wait_until(lambda: watched.error, TOLD_S)
    assert ("replaced" if how == "replaced" else "away") in error


PROBE = """
import sys, threading
from pathlib import Path
from cachekeeper.errors import OriginUnavailable
from cachekeeper.origin.folder_watch import changes
root = Path(sys.argv[1])
try:
    for number, batch in enumerate(changes(root, threading.Event())):
        if sys.argv[2] == "later":
            (root / f"more{number}").mkdir()
except OriginUnavailable as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have other limits")
@pytest.mark.parametrize(
    ("limit", "most", "when", "said"),
    [
        ("max_inotify_watches", 1, "begin", "the limit of inotify watches is reached"),
        ("max_inotify_watches", 5, "later", "the limit of inotify watches is reached"),
        ("max_inotify_instances", 0, "begin", "Too many open files"),
    ],
)
def test_a_limit_of_the_system_is_said(
    root: Path, limit: str, most: int, when: str, said: str
) -> None:
    # In a user namespace, limits are its own.
    shell = f'echo {most} > /proc/sys/user/{limit} || exit 77; exec "$@"'
    command = ["unshare", "-Ur", "sh", "-c", shell, "sh", sys.executable, "-c", PROBE]
    done = subprocess.run(
        [*command, str(root), when], capture_output=True, text=True, timeout=TOLD_S, env=os.environ
    )
    if done.returncode in {1, 77} and not done.stdout:
        pytest.skip(f"no user namespaces here: {done.stderr.strip()}")
    assert said in done.stdout, done.stderr
