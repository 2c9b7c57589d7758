"""A folder as an origin: nothing outside it is ever read, whoever asks and however."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from cachekeeper.errors import (
    CachekeeperError,
    ForbiddenPath,
    InvalidInput,
    OriginMissing,
    OriginUnavailable,
)
from cachekeeper.origin.folder import FolderOrigin

SECRET = b"not yours"
RACE_S = 0.5


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The origin's folder; beside it is what must not be read."""
    root = tmp_path / "library"
    (root / "sub").mkdir(parents=True)
    (root / "a.txt").write_bytes(b"a")
    (root / "sub" / "b c é.txt").write_bytes(b"bb")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_bytes(SECRET)
    (tmp_path / "library-2").mkdir()  # begins like the origin, and is not in it
    (tmp_path / "library-2" / "secret").write_bytes(SECRET)
    return root


@pytest.fixture
def origin(root: Path) -> FolderOrigin:
    return FolderOrigin(root)


Ask = Callable[[FolderOrigin, str], object]
ASK: list[Ask] = [FolderOrigin.read, FolderOrigin.stat]
either = pytest.mark.parametrize("ask", ASK, ids=["read", "stat"])


def test_a_file_is_read_by_its_path_below_the_folder(origin: FolderOrigin) -> None:
    assert origin.read("a.txt") == b"a"
    assert origin.read("sub/b c é.txt") == b"bb"
    assert origin.stat("sub/b c é.txt").size == 2


def test_an_empty_file_is_a_file(origin: FolderOrigin, root: Path) -> None:
    (root / "empty").touch()
    assert origin.read("empty") == b""
    assert origin.stat("empty").size == 0


def test_the_version_changes_with_the_content_even_if_the_size_does_not(
    origin: FolderOrigin, root: Path
) -> None:
    before = origin.stat("a.txt")
    assert origin.stat("a.txt") == before
    (root / "a.txt").write_bytes(b"b")
    os.utime(root / "a.txt", ns=(0, 1_000_000_001))
    edited = origin.stat("a.txt")
    assert edited != before
    (root / "new").write_bytes(b"c")
    os.utime(root / "new", ns=(0, 1_000_000_001))
    (root / "new").replace(root / "a.txt")  # same size, same time, another file
    assert origin.stat("a.txt") != edited


@either
@pytest.mark.parametrize(
    "path",
    [
        "",
        ".",
        "..",
        "../outside/secret",
        "sub/../../outside/secret",
        "sub/..",
        "/etc/hostname",
        "//a.txt",
        "sub//b",
        "a.txt/",
        "./a.txt",
        "a\x00.txt",
        "a.txt\x00",
        "a\n",
        "..\\outside\\secret",
        "\udcff",
        "x" * 513,
        "é" * 257,
    ],
)
def test_a_path_that_climbs_or_is_malformed_is_forbidden(
    ask: Ask, origin: FolderOrigin, path: str
) -> None:
    with pytest.raises(ForbiddenPath) as refused:
        ask(origin, path)
    assert refused.value.field == "path"
    if path:  # the topmost folder has no name
        with pytest.raises(ForbiddenPath):
            origin.list(path)


def test_the_absolute_name_of_a_file_inside_is_no_path_either(origin: FolderOrigin) -> None:
    with pytest.raises(ForbiddenPath):
        origin.read(str(origin.folder / "a.txt"))


@either
@pytest.mark.parametrize("target", ["../outside/secret", "/etc/passwd", "../library-2/secret"])
def test_a_link_that_leads_out_is_forbidden(
    ask: Ask, origin: FolderOrigin, root: Path, target: str
) -> None:
    (root / "link").symlink_to(target)
    with pytest.raises(ForbiddenPath, match="links included"):
        ask(origin, "link")


@either
@pytest.mark.parametrize("target", ["../outside", "../library-2", ".."])
def test_a_file_in_a_linked_folder_outside_is_forbidden(
    ask: Ask, origin: FolderOrigin, root: Path, target: str
) -> None:
    (root / "out").symlink_to(target, target_is_directory=True)
    (root.parent / "secret").write_bytes(SECRET)
    with pytest.raises(ForbiddenPath):
        ask(origin, "out/secret")
    with pytest.raises(ForbiddenPath):
        origin.list("out")


@either
def test_a_chain_of_links_is_followed_to_its_end(
    ask: Ask, origin: FolderOrigin, root: Path
) -> None:
    (root / "one").symlink_to("two")
    (root / "two").symlink_to("sub/three")
    (root / "sub" / "three").symlink_to("../../outside/secret")
    with pytest.raises(ForbiddenPath):
        ask(origin, "one")


def test_a_link_that_stays_inside_is_as_good_as_the_file(origin: FolderOrigin, root: Path) -> None:
    (root / "link").symlink_to("sub/b c é.txt")
    (root / "folder").symlink_to("sub")
    assert origin.read("link") == b"bb"
    assert origin.read("folder/b c é.txt") == b"bb"


def test_the_folder_itself_may_be_a_link(root: Path, tmp_path: Path) -> None:
    (tmp_path / "shortcut").symlink_to(root)
    assert FolderOrigin(tmp_path / "shortcut").read("a.txt") == b"a"


@either
def test_what_is_no_regular_file_is_forbidden_and_never_waited_for(
    ask: Ask, origin: FolderOrigin, root: Path
) -> None:
    os.mkfifo(root / "pipe")  # to open one is to wait for a writer
    for path in ("pipe", "sub"):
        with pytest.raises(ForbiddenPath, match="a regular file"):
            ask(origin, path)


@either
def test_a_device_node_is_forbidden(ask: Ask, origin: FolderOrigin, root: Path) -> None:
    try:
        os.mknod(root / "zero", 0o20600, os.makedev(1, 5))
    except OSError as error:
        if error.errno != errno.EPERM:
            raise
        (root / "zero").symlink_to("/dev/zero")  # as good as we can get without being root
    with pytest.raises(ForbiddenPath):
        ask(origin, "zero")


@either
@pytest.mark.parametrize("path", ["b.txt", "sub/b.txt", "nowhere/b.txt", "a.txt/b", "dangling"])
def test_what_is_not_there_is_missing(
    ask: Ask, origin: FolderOrigin, root: Path, path: str
) -> None:
    (root / "dangling").symlink_to("gone")
    with pytest.raises(OriginMissing, match=path):
        ask(origin, path)


@either
def test_a_name_that_no_file_can_have_is_missing_for_good(ask: Ask, origin: FolderOrigin) -> None:
    """Not unavailable: trying again would never help."""
    with pytest.raises(OriginMissing):
        ask(origin, "x" * 256)


@either
def test_links_that_go_round_in_circles_are_an_error_of_ours(
    ask: Ask, origin: FolderOrigin, root: Path
) -> None:
    (root / "ping").symlink_to("pong")
    (root / "pong").symlink_to("ping")
    with pytest.raises(CachekeeperError):
        ask(origin, "ping")


@either
def test_an_origin_that_went_away_is_unavailable_and_not_without_files(
    ask: Ask, origin: FolderOrigin, root: Path
) -> None:
    """A disk that is not mounted just now has not lost its files."""
    root.rename(root.with_name("unmounted"))
    with pytest.raises(OriginUnavailable):
        ask(origin, "a.txt")
    with pytest.raises(OriginUnavailable):
        origin.list("")


def test_an_origin_is_a_folder_that_exists(root: Path) -> None:
    for wrong in (root / "nowhere", root / "a.txt"):
        with pytest.raises(InvalidInput) as refused:
            FolderOrigin(wrong)
        assert refused.value.field == "origin"


def test_a_list_has_the_visible_files_and_folders(origin: FolderOrigin, root: Path) -> None:
    for name in ("10.txt", "9.txt", ".hidden"):
        (root / "sub" / name).touch()
    (root / "sub" / "folder").mkdir()
    (root / "sub" / "link").symlink_to("../../outside/secret")
    os.mkfifo(root / "sub" / "pipe")
    found = origin.list("sub")
    names = ["sub/10.txt", "sub/9.txt", "sub/b c é.txt", "sub/folder"]
    assert [each.path for each in found] == names
    assert [each.path for each in found if each.version is None] == ["sub/folder"]
    for each in found[:3]:
        assert each.version == origin.stat(each.path)
    assert [each.path for each in origin.list("")] == ["a.txt", "sub"]


def test_what_is_listed_can_all_be_asked_for(origin: FolderOrigin, root: Path) -> None:
    """A name that is no path of ours would make whoever prefetches it stumble."""
    for name in (b"caf\xe9.txt", b"two\nlines", b"back\\slash", "é".encode() * 127):
        with suppress(OSError):  # there are file systems that refuse such names
            (root / os.fsdecode(name)).touch()
    found = [each.path for each in origin.list("") if each.version is not None]
    assert set(found) == {"a.txt", "é" * 127}
    for path in found:
        origin.stat(path)


def test_the_list_of_what_is_no_folder_is_missing(origin: FolderOrigin) -> None:
    for path in ("nowhere", "a.txt"):
        with pytest.raises(OriginMissing):
            origin.list(path)


SWAP_FILE = """
import os, sys
name, aside, secret = "a.txt", "aside", "../outside/secret"
os.symlink(secret, "link")
while True:
    os.rename(name, aside); os.rename("link", name)
    os.rename(name, "link"); os.rename(aside, name)
"""
SWAP_FOLDER = """
import os
os.symlink("../outside", "link")
while True:
    os.rename("sub", "aside"); os.rename("link", "sub")
    os.rename("sub", "link"); os.rename("aside", "sub")
"""


@contextmanager
def swapping(script: str, root: Path) -> Iterator[None]:
    """Another process that puts a link in place of a name and takes it away, all the time."""
    with subprocess.Popen([sys.executable, "-S", "-c", script], cwd=root) as process:
        try:
            while not (root / "link").is_symlink():
                assert process.poll() is None
            yield
        finally:
            process.kill()


@pytest.mark.parametrize(
    ("script", "path"), [(SWAP_FILE, "a.txt"), (SWAP_FOLDER, "sub/secret")], ids=["file", "folder"]
)
def test_nothing_outside_is_read_even_while_a_name_becomes_a_link(
    origin: FolderOrigin, root: Path, script: str, path: str
) -> None:
    (root / "sub" / "secret").write_bytes(b"mine")
    seen: set[bytes] = set()
    with swapping(script, root):
        end = time.monotonic() + RACE_S
        while time.monotonic() < end and SECRET not in seen:
            with suppress(CachekeeperError):
                seen.add(origin.read(path))
    assert seen
    assert SECRET not in seen


def test_a_file_that_becomes_a_pipe_does_not_hold_the_reader(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look and the opening: a pipe without a writer would wait for ever."""
    origin, opened = FolderOrigin(root), os.open

    def late(path: object, flags: int, *args: int, **more: int) -> int:
        if str(path).endswith("a.txt"):
            (root / "a.txt").unlink(missing_ok=True)
            os.mkfifo(root / "a.txt")
        return opened(path, flags, *args, **more)  # type: ignore[arg-type]  # as it was given

    monkeypatch.setattr(os, "open", late)
    outcome: list[Exception] = []

    def read() -> None:
        try:
            origin.read("a.txt")
        except CachekeeperError as error:
            outcome.append(error)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    reader.join(2)
    if reader.is_alive():  # let it go, or it would outlive the test
        with (root / "a.txt").open("wb"):
            reader.join(5)
        pytest.fail("the reader waits for a pipe")
    assert outcome
