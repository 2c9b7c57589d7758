"""The sweep finds what nobody told, once, and does not believe everything that it sees."""

from __future__ import annotations

import itertools
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from cachekeeper.core.ports.changes import Pass
from cachekeeper.core.ports.origins import Changed, Listed
from cachekeeper.errors import CacheUnavailable, OriginUnavailable
from cachekeeper.origin.folder import FolderOrigin
from cachekeeper.services.changes import ChangeReporter, changes_of
from cachekeeper.services.reconcile import GONE_LEAST, Reconciler, Turn
from cachekeeper.store.redis.connection import Connection
from cachekeeper.store.redis.known import RedisKnownVersions
from cachekeeper.store.redis.sweeps import RedisSweeps

BELIEVED_AFTER_S = 450.0


class Site:
    """A folder, what is known of it, and what was submitted."""

    def __init__(self, folder: Path, connection: Connection) -> None:
        self.folder, self.now = folder, time.time()
        self.known, self.sweeps = RedisKnownVersions(connection), RedisSweeps(connection)
        self.origin = FolderOrigin(folder)
        self.submitted: list[str] = []
        self.forgotten = 0
        self.turn_s = 3600.0
        self.fails: Callable[[], None] = lambda: None

    def submit(self, keys: Sequence[str], **_: str) -> None:
        self.fails()
        self.submitted += keys

    def forget_all(self, _: str) -> None:
        self.forgotten += 1

    def reconciler(self, origin: FolderOrigin | None = None) -> Reconciler:
        return Reconciler(
            origin=origin or self.origin,
            known=self.known,
            sweeps=self.sweeps,
            submit=self.submit,
            forget_all=self.forget_all,
            believed_after_s=BELIEVED_AFTER_S,
            now=lambda: self.now,
            turn_s=self.turn_s,
        )

    def sweep(self) -> Pass:
        """One pass, to its end; what it submitted is in ``submitted``."""
        self.submitted = []
        turn = self.reconciler().run()
        assert turn.ran
        assert not turn.more
        return turn.state

    def found(self) -> set[str]:
        self.sweep()
        return set(self.submitted)

    def report(self, *changes: Changed) -> set[str]:
        self.submitted = []
        reporter = ChangeReporter(origin=self.origin, known=self.known, submit=self.submit)
        reporter.report(changes, reason="a test")
        return set(self.submitted)

    def fill(self, folder: str, files: int) -> None:
        (self.folder / folder).mkdir(parents=True, exist_ok=True)
        for number in range(files):
            (self.folder / folder / f"{number}.txt").write_text(str(number))


@pytest.fixture
def site(server_url: str, deployment: str, tmp_path: Path) -> Iterator[Site]:
    folder = tmp_path / "library"
    (folder / "a" / "b").mkdir(parents=True)
    for path in ("top.txt", "a/one.txt", "a/two.txt", "a/b/three.txt"):
        (folder / path).write_text(path)
    connection = Connection(server_url, deployment)
    yield Site(folder, connection)
    connection.close()


def test_the_first_pass_learns_and_has_all_forgotten_once(site: Site) -> None:
    state = site.sweep()
    assert (state.learnt, state.new, site.forgotten, site.submitted) == (True, 4, 1, [])
    assert site.found() == set()
    assert site.forgotten == 1


def test_what_is_known_before_the_first_pass_has_ended_is_no_excuse(site: Site) -> None:
    assert site.report(Changed("a/one.txt", listing=False)) == {"file:a/one.txt"}
    site.sweep()
    assert site.forgotten == 1


def test_edits_new_files_and_deletions_are_found_once(site: Site) -> None:
    site.sweep()
    (site.folder / "a" / "one.txt").write_text("edited")
    (site.folder / "a" / "b" / "new.txt").write_text("new")
    (site.folder / "top.txt").unlink()
    state = site.sweep()
    assert set(site.submitted) == {
        "file:a/one.txt",
        "file:a/b/new.txt",
        "folder:a/b",
        "file:top.txt",
        "folder:.",
    }
    assert (state.changed, state.new, state.gone) == (1, 1, 1)
    assert site.found() == set()


def test_a_folder_that_was_moved_is_found_with_all_that_is_in_it(site: Site) -> None:
    site.sweep()
    (site.folder / "a").rename(site.folder / "z")
    below = {
        "file:{}/one.txt",
        "file:{}/two.txt",
        "file:{}/b/three.txt",
        "folder:{}",
        "folder:{}/b",
    }
    assert site.found() == {"folder:."} | {key.format(n) for key in below for n in "az"}
    assert site.found() == set()


def test_a_file_that_became_a_folder_and_the_opposite(site: Site) -> None:
    site.sweep()
    (site.folder / "top.txt").unlink()
    (site.folder / "top.txt").mkdir()
    (site.folder / "top.txt" / "x").write_text("x")
    shutil.rmtree(site.folder / "a")
    (site.folder / "a").write_text("a file")
    assert {"file:top.txt", "file:top.txt/x", "file:a", "file:a/one.txt"} <= site.found()
    assert site.found() == set()


def test_what_was_told_is_not_found_again(site: Site) -> None:
    site.sweep()
    (site.folder / "a" / "one.txt").write_text("edited")
    (site.folder / "c" / "d").mkdir(parents=True)
    (site.folder / "c" / "d" / "new.txt").write_text("new")
    (site.folder / "a" / "b").rename(site.folder / "moved")
    told = site.report(*changes_of(["a/one.txt", "c", "a/b", "moved"]))
    assert {"file:c/d/new.txt", "folder:c/d", "folder:.", "folder:a"} <= told
    assert {"file:a/b/three.txt", "folder:a/b", "file:moved/three.txt"} <= told
    assert site.found() == set()


def test_a_file_in_the_place_of_a_folder_is_told_with_what_was_in_that(site: Site) -> None:
    site.sweep()
    (site.folder / "a").rename(site.folder.parent / "elsewhere")
    (site.folder / "a").write_text("a file")
    told = site.report(Changed("a", listing=True))
    assert {"file:a", "folder:a", "file:a/one.txt", "folder:a/b", "file:a/b/three.txt"} <= told
    assert site.found() == set()


def test_links_that_were_told_are_looked_at_too(site: Site) -> None:
    site.sweep()
    (site.folder / "link").symlink_to("a/one.txt")
    site.report(Changed("link", listing=True))
    assert site.found() == set()
    (site.folder / "a" / "one.txt").write_text("edited")
    assert site.found() == {"file:link", "file:a/one.txt"}
    (site.folder / "link").unlink()
    assert site.found() == {"file:link", "folder:."}
    assert site.found() == set()


def test_a_link_to_a_folder_that_was_told_is_not_taken_for_one_that_is_gone(site: Site) -> None:
    site.fill("big", GONE_LEAST)
    site.sweep()
    (site.folder / "link").symlink_to("big")
    assert "file:link/0.txt" in site.report(Changed("link", listing=True))
    assert (site.sweep().held, site.submitted) == (0, [])
    (site.folder / "link").unlink()
    assert {"file:link/0.txt", "folder:link"} <= site.report(Changed("link", listing=True))
    assert site.found() == set()


def test_names_that_no_key_can_have_hurt_nobody(site: Site) -> None:
    site.sweep()
    long = "é" * 120
    deep = "/".join([long, long])
    (site.folder / deep).mkdir(parents=True)
    (site.folder / deep / ("x" * 27)).write_text("its key is too long")
    (site.folder / deep / "x").write_text("a key")
    (site.folder / "back\\slash").write_text("no path")
    (site.folder / os_name(b"\xff")).write_text("no text")
    assert f"file:{deep}/x" in site.found()
    site.report(*changes_of([f"{deep}/{'x' * 27}", "back\\slash", os_name(b"\xff"), "..", ""]))


def os_name(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def test_a_crash_before_it_is_known_repeats_and_loses_nothing(site: Site) -> None:
    site.sweep()
    (site.folder / "a" / "one.txt").write_text("edited")
    shutil.rmtree(site.folder / "a" / "b")

    def away() -> None:
        raise CacheUnavailable("just now")

    site.fails = away
    with pytest.raises(CacheUnavailable):
        site.sweep()
    site.fails = lambda: None
    site.submitted = []
    assert site.reconciler().run().ran  # goes on where it was
    assert {"file:a/one.txt", "file:a/b/three.txt"} <= set(site.submitted)
    assert site.found() == set()


def test_it_goes_on_in_turns_and_one_at_a_time(site: Site) -> None:
    site.turn_s = 0.0  # no step fits
    first = site.reconciler().run()
    assert (first.ran, first.more) == (True, True)
    turns = 0
    while (turn := steps(site, 1)).more:
        turns += 1
        assert turn.ran
    assert turns >= 3
    assert not site.reconciler().run(begin=False).ran  # there is nothing to go on with


def steps(site: Site, number: int) -> Turn:
    """A turn of so many steps, by a clock that only they move."""
    began, looks = site.now, itertools.count(1)
    site.turn_s = 1.0
    reconciler = site.reconciler()
    # It looks when it begins, from when it counts, and before each step.
    reconciler._now = lambda: began + (0.0 if next(looks) <= 2 + number else 2.0)
    return reconciler.run(begin=False)


def test_a_second_sweep_is_kept_out_and_then_follows_if_it_was_asked_for(site: Site) -> None:
    assert site.sweeps.take("other", site.now, begin=True, anew=False)
    assert not site.reconciler().run().ran
    assert not site.reconciler().run(anew=True).ran
    site.sweeps.release("other")
    (site.folder / "a" / "one.txt").write_text("edited")
    turn = site.reconciler().run()
    assert (turn.more, turn.state.folders, site.forgotten) == (False, 3, 1)


def test_an_origin_that_is_away_has_lost_nothing(site: Site) -> None:
    site.sweep()
    site.folder.rename(site.folder.with_name("away"))
    state = site.sweep()
    assert site.submitted == []
    assert "away" in state.error
    site.folder.with_name("away").rename(site.folder)
    assert site.found() == set()
    assert not site.sweeps.state().error


class Patchy(FolderOrigin):
    """One folder of it can't be read just now."""

    def list(self, folder: str) -> list[Listed]:
        if folder == "a":
            raise OriginUnavailable("a: time-out")
        return super().list(folder)


def test_a_part_that_is_away_does_not_stop_the_rest(site: Site) -> None:
    site.sweep()
    (site.folder / "top.txt").write_text("edited")
    (site.folder / "a" / "one.txt").write_text("edited")
    site.submitted = []
    state = site.reconciler(Patchy(site.folder)).run().state
    assert (site.submitted, state.unavailable) == (["file:top.txt"], 1)
    assert site.found() == {"file:a/one.txt"}


def test_an_empty_mount_point_is_never_believed_but_by_an_operator(site: Site) -> None:
    site.sweep()
    site.folder.rename(site.folder.with_name("mounted"))
    site.folder.mkdir()
    for _ in range(3):
        assert (site.sweep().held, site.submitted) == (4, [])
        site.now += 2 * BELIEVED_AFTER_S
    shutil.rmtree(site.folder)
    site.folder.with_name("mounted").rename(site.folder)
    assert (site.sweep().held, site.submitted) == (0, [])
    shutil.rmtree(site.folder)
    site.folder.mkdir()
    site.sweep()
    site.sweeps.accept()
    state = site.sweep()
    assert (state.held, state.gone) == (0, 4)
    assert "file:a/b/three.txt" in site.submitted


def test_most_of_a_large_folder_is_believed_to_be_gone_the_second_time(site: Site) -> None:
    site.fill("big", GONE_LEAST)
    site.sweep()
    shutil.rmtree(site.folder / "big")
    (site.folder / "top.txt").write_text("edited")
    state = site.sweep()
    assert (state.held, site.submitted) == (GONE_LEAST, ["file:top.txt"])
    site.now += BELIEVED_AFTER_S / 2
    assert site.sweep().held == GONE_LEAST  # too soon to be another look
    site.now += BELIEVED_AFTER_S
    state = site.sweep()
    assert (state.held, state.gone) == (0, GONE_LEAST)
    assert "file:big/7.txt" in site.submitted
    assert site.found() == set()


def test_what_comes_back_was_never_gone(site: Site) -> None:
    site.fill("big", GONE_LEAST)
    site.sweep()
    (site.folder / "big").rename(site.folder.with_name("unmounted"))
    assert site.sweep().held == GONE_LEAST
    site.folder.with_name("unmounted").rename(site.folder / "big")
    site.now += 2 * BELIEVED_AFTER_S
    assert (site.sweep().held, site.submitted) == (0, [])


def test_a_folder_of_many_files_is_swept(site: Site) -> None:
    site.fill("many", 3000)
    site.sweep()
    for number in range(0, 3000, 2):
        (site.folder / "many" / f"{number}.txt").unlink()
    state = site.sweep()
    assert (state.held, state.gone) == (0, 1500)
    assert site.found() == set()
