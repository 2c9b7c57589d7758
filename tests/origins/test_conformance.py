"""What holds of every origin, whatever lies between us and the files."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from cachekeeper.core.ports.origins import Listed
from cachekeeper.errors import ForbiddenPath, NotListable, OriginMissing
from tests.origins.conftest import Library
from tests.support import wait_until

NAMES = (
    "plain.txt",
    "two words.txt",
    " leading",
    "trailing ",
    "100%.txt",
    "100%25.txt",
    "per%2Fcent",
    "%2e%2e",
    "a#b",
    "a?b=c",
    "semi;colon",
    "amp&ersand",
    "plus+plus",
    "equals=",
    "quote'\"",
    "[brackets]",
    "{braces}",
    "a:b",
    "a@b",
    "~tilde",
    "star*",
    "comma,",
    "dollar$",
    "caret^`|<>",
    "ünï.txt",
    "e\u0301.txt",
    "日本語.txt",
    "🎉",
)


def test_a_file_has_a_size_and_a_version_that_stays(library: Library) -> None:
    library.write("a", b"12345")
    path = library.path("a")
    found = library.origin.stat(path)
    assert found.size == 5
    assert found.token
    assert library.origin.stat(path) == found


def test_the_version_changes_with_an_edit_of_the_same_size(library: Library) -> None:
    library.write("a", b"12345")
    path = library.path("a")
    before = library.origin.stat(path)
    library.write("a", b"54321")
    assert library.origin.stat(path) != before


def test_the_version_changes_when_another_file_takes_the_place(library: Library) -> None:
    library.write("a", b"12345")
    path = library.path("a")
    before = library.origin.stat(path)
    library.replace("a", b"54321")
    assert library.origin.stat(path) != before
    assert library.origin.read(path) == b"54321"


@pytest.mark.parametrize("size", [0, 1, 65536, 65537, 1_000_003])
def test_a_content_is_read_whole(library: Library, size: int) -> None:
    body = os.urandom(size)
    library.write("a", body)
    assert library.origin.read(library.path("a")) == body
    with library.origin.open(library.path("a")) as file:
        assert b"".join(iter(lambda: file.read(10_007), b"")) == body
        assert file.read(1) == b""


def test_an_open_file_can_be_sought_in(library: Library) -> None:
    body = os.urandom(2_000_000)
    library.write("a", body)
    with library.origin.open(library.path("a")) as file:
        assert file.seek(0, io.SEEK_END) == len(body)
        assert file.seek(-10, io.SEEK_CUR) == len(body) - 10
        assert file.read() == body[-10:]
        for position in (0, 1_500_000, 5, 600_000, 600_100, 1_999_999):
            file.seek(position)
            assert file.tell() == position
            assert file.read(1000) == body[position : position + 1000]
        file.seek(len(body) + 5)
        assert file.read() == b""


def test_many_files_are_open_at_once_and_read_in_any_order(library: Library) -> None:
    bodies = [os.urandom(300_000) for _ in range(4)]
    for number, body in enumerate(bodies):
        library.write(str(number), body)
    files = [library.origin.open(library.path(str(number))) for number in range(4)]
    assert [file.read(100) for file in files] == [body[:100] for body in bodies]
    assert [file.read() for file in reversed(files)] == [body[100:] for body in reversed(bodies)]
    for file in files:
        file.close()


@pytest.mark.parametrize("name", ["gone", "folder/gone", "nowhere/gone", "a/below"])
def test_what_is_not_there_is_missing(library: Library, name: str) -> None:
    library.write("a", b"a")
    library.write("folder/b", b"b")
    for ask in (library.origin.stat, library.origin.read, library.origin.open):
        with pytest.raises(OriginMissing):
            ask(library.path(name))


def test_a_folder_is_no_file(library: Library) -> None:
    library.write("folder/a", b"a")
    for ask in (library.origin.stat, library.origin.read, library.origin.open):
        with pytest.raises((ForbiddenPath, OriginMissing)):
            ask(library.path("folder"))


def test_every_name_is_the_name_of_just_its_file(library: Library) -> None:
    for name in NAMES:
        library.write(f"in {name}/{name}", name.encode())
    for name in NAMES:
        path = library.path(f"in {name}/{name}")
        assert library.origin.read(path) == name.encode()
        assert library.origin.stat(path).size == len(name.encode())
        if library.lists:
            (listed,) = library.origin.list(library.path(f"in {name}"))
            assert listed == Listed(path, library.origin.stat(path))


def test_a_list_has_the_visible_files_and_folders_with_versions(library: Library) -> None:
    for name in NAMES:
        library.write(f"folder/{name}", name.encode())
    for name in (".hidden", "sub/deep", ".git/config"):
        library.write(f"folder/{name}", b"x")
    (library.folder / "empty").mkdir()
    if not library.lists:
        with pytest.raises(NotListable):
            library.origin.list(library.path("folder"))
        return
    found = library.origin.list(library.path("folder"))
    expected = sorted(library.path(f"folder/{name}") for name in (*NAMES, "sub"))
    assert [each.path for each in found] == expected
    for each in found:
        folder = each.path.endswith("/sub")
        assert each.version == (None if folder else library.origin.stat(each.path))
    assert library.origin.list(library.path("empty")) == []
    top = library.origin.list(library.path("").rstrip("/"))
    assert [each.path for each in top] == [library.path("empty"), library.path("folder")]
    for gone in ("nowhere", "folder/sub/deep"):
        with pytest.raises(OriginMissing):
            library.origin.list(library.path(gone))


@pytest.mark.parametrize(
    "path", ["..", "../outside", "folder/../../outside", "/etc/passwd", "//a", "a//b", "./a", "a/",
             "..\\outside", "a\x00", "a\r\nHost: b", "", "x" * 513]
)  # fmt: skip
def test_no_path_leads_out(library: Library, path: str) -> None:
    library.write("folder/a", b"a")
    for ask in (library.origin.stat, library.origin.read, library.origin.open):
        with pytest.raises(ForbiddenPath):
            ask(library.path(path) if not path.startswith("/") else path)


@pytest.mark.parametrize("name", ["%2e%2e/outside", "..%2foutside", "folder/%2e%2e/%2e%2e/outside"])
def test_what_is_encoded_already_is_taken_as_it_is(library: Library, name: str) -> None:
    library.write("folder/a", b"a")
    with pytest.raises(OriginMissing):
        library.origin.read(library.path(name))


@contextmanager
def watched(library: Library) -> Iterator[dict[str, bool]]:
    """What is told, by path; once the watcher has told of the first edit, and so has learnt."""
    stop, told = threading.Event(), dict[str, bool]()

    def follow() -> None:
        for batch in library.origin.watch(stop):
            for each in batch:
                told[each.path] = told.get(each.path, False) or each.listing

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    try:
        wait_until(lambda: _edited(library) and told, seconds=60)
        yield told
    finally:
        stop.set()
        thread.join(30)
        assert not thread.is_alive()


def _edited(library: Library) -> bool:
    library.write("first", b"x")
    return True


def test_a_watcher_tells_edits_new_files_deletions_renames_and_moves(library: Library) -> None:
    if not library.lists:
        return  # see test_web
    for name in ("edited", "deleted", "renamed", "album/1", "album/sub/2", "quiet"):
        library.write(name, b"12345")
    with watched(library) as told:

        def tells(**expected: bool) -> None:
            """Each of them is told, with whether it may be another list."""
            wanted = {library.path(name.replace("__", "/")): new for name, new in expected.items()}
            wait_until(lambda: wanted.items() <= told.items(), seconds=60)

        library.write("edited", b"54321")
        wait_until(lambda: library.path("edited") in told, seconds=60)
        library.write("new", b"1")
        tells(new=True)
        library.write("fresh/3", b"3")
        tells(fresh__3=True)
        (library.folder / "deleted").unlink()
        tells(deleted=True)
        (library.folder / "renamed").rename(library.folder / "other")
        tells(renamed=True, other=True)
        library.replace("edited", b"99999")
        (library.folder / "album").rename(library.folder / "moved")
        tells(album=True, moved=True)
        if library.kind != "folder":  # that one tells the folder only
            tells(album__1=True, album__sub__2=True, moved__1=True, moved__sub__2=True)
        assert library.path("quiet") not in told
