"""A library is only ever read: whatever lies in it, the demo leaves it as it was."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from cachekeeper.errors import ConfigurationError
from demo import copying
from tests.demo.conftest import Checked
from tests.demo.library import make_odd, seen
from tests.demo.runs import demo

READS_ALL = os.geteuid() == 0  # root opens what nobody may read
IN_ODD = {
    "odd things/ein Ordner/ウサギ/🎉 party/naïve café 🍰.txt",
    "odd things/ein Ordner/ウサギ/🎉 party/[bold]no markup[x].txt",
    f"odd things/{'n' * 47}{'🙂' * 51}.txt",
    "odd things/empty.txt",
    "odd things/truncated.jpg",
    "odd things/twin.txt",
}
SEALED = "odd things/unreadable.txt"
ODD_NAMES = 4  # a newline, a backslash, no UTF-8, too long for a key


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    library, outside = tmp_path / "library", tmp_path / "outside"
    library.mkdir()
    outside.mkdir()
    make_odd(library, outside)
    return library


def files(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if not p.is_dir()}


def test_a_whole_run_leaves_the_library_as_it_was(checked: Checked) -> None:
    assert checked.run.status == 0, checked.run.output + checked.run.errors
    assert len(checked.before) > 150  # 120 ordinary ones and the odd: really looked at
    assert checked.after == checked.before


def test_the_run_played_with_the_copies(checked: Checked) -> None:
    copies = 120 + len(IN_ODD) + READS_ALL
    assert f"{copies} files, " in checked.run.output
    assert f"{ODD_NAMES} left out (odd name)" in checked.run.output
    assert str(checked.library) in checked.run.output  # brackets and all


def test_what_is_copied_and_what_is_not(odd: Path, tmp_path: Path) -> None:
    target = tmp_path / "copies"
    copied = copying.copy(odd, target)
    assert files(target) == IN_ODD | ({SEALED} if READS_ALL else set())
    assert copied.files == len(files(target))
    assert copied.skipped == {"odd name": ODD_NAMES}
    assert copied.bytes == sum((target / path).stat().st_size for path in files(target))


def test_copies_are_never_links(odd: Path, tmp_path: Path) -> None:
    target = tmp_path / "copies"
    copying.copy(odd, target)
    originals = {(path / ".").parent.lstat().st_ino for path in odd.rglob("*")}
    for path in files(target):
        status = (target / path).lstat()
        assert not (target / path).is_symlink()
        assert status.st_nlink == 1
        assert status.st_ino not in originals
        assert (target / path).read_bytes() == (odd / path).read_bytes()


def test_the_limit_of_files(small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert copying.MOST_FILES == 10_000
    monkeypatch.setattr(copying, "MOST_FILES", 50)
    copied = copying.copy(small, tmp_path / "copies")
    assert copied.files == len(files(tmp_path / "copies")) == 50
    assert copied.skipped == {"over the limit": 70}


def test_large_files_are_left_out(tmp_path: Path) -> None:
    library = tmp_path / "library"
    library.mkdir()
    for name, size in (("at the limit", copying.LARGEST), ("film", copying.LARGEST + 1)):
        with (library / name).open("wb") as file:
            file.truncate(size)
    copied = copying.copy(library, tmp_path / "copies")
    assert files(tmp_path / "copies") == {"at the limit"}
    assert (copied.files, copied.skipped) == (1, {"too large": 1})


def test_what_goes_or_is_closed_meanwhile_is_passed_over(
    odd: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    really = os.scandir

    def scandir(folder: Path) -> object:
        if folder.name == "ein Ordner":
            raise PermissionError(folder)
        return really(folder)

    def copyfile(source: str, target: Path) -> None:
        if source.endswith("twin.txt"):
            raise FileNotFoundError(source)
        target.write_bytes(Path(source).read_bytes())

    monkeypatch.setattr(os, "scandir", scandir)
    monkeypatch.setattr(shutil, "copyfile", copyfile)
    copying.copy(odd, tmp_path / "copies")
    closed = {path for path in IN_ODD if "Ordner" in path or "twin" in path}
    assert len(closed) == 3
    assert files(tmp_path / "copies") - {SEALED} == IN_ODD - closed


def test_a_folder_with_nothing_to_copy(tmp_path: Path) -> None:
    library = tmp_path / "library"
    (library / "a" / "b").mkdir(parents=True)
    (library / ".hidden").write_text("hidden")
    (library / "link").symlink_to(library / ".hidden")
    with pytest.raises(ConfigurationError, match=r"^LIBRARY: .* holds no file to copy$"):
        copying.copy(library, tmp_path / "copies")


def test_a_folder_of_empty_files(tmp_path: Path) -> None:
    library = tmp_path / "library"
    library.mkdir()
    (library / "empty.txt").touch()
    with pytest.raises(ConfigurationError, match=r"^LIBRARY: .* nothing but empty files$"):
        copying.copy(library, tmp_path / "copies")


@pytest.mark.parametrize("way", ["missing", "file", "link to a file"])
def test_no_folder(way: str, tmp_path: Path) -> None:
    library = tmp_path / "library"
    (tmp_path / "file").write_text("a file")
    if way == "file":
        library = tmp_path / "file"
    elif way != "missing":
        library.symlink_to(tmp_path / "file")
    with pytest.raises(ConfigurationError, match=r"^LIBRARY: .* is not a folder$"):
        copying.check_apart(library, tmp_path / "state")


def test_a_link_to_a_folder_will_do(small: Path, tmp_path: Path) -> None:
    link = tmp_path / "Pictures"
    link.symlink_to(small, target_is_directory=True)
    assert copying.check_apart(link, tmp_path / "state") == small.resolve()


def refused(*arguments: str | Path, env: dict[str, str] | None = None) -> str:
    """The one line on standard error of a demo that refuses to start."""
    run = demo(*arguments, env=env)
    assert (run.status, run.output) == (1, "")
    assert run.errors.count("\n") == 1
    assert run.errors.startswith("error: LIBRARY: ")
    return run.errors


@pytest.mark.parametrize("command", ["run", "check"])
def test_the_command_says_what_is_wrong(command: str, tmp_path: Path) -> None:
    state = ["--state", str(tmp_path / "state")] if command == "run" else []
    library = tmp_path / "Pictures"
    line = refused(command, "--library", library, *state)
    assert line == f"error: LIBRARY: {library} is not a folder\n"
    library.mkdir()
    line = refused(command, "--library", library, *state)
    assert line == f"error: LIBRARY: {library} holds no file to copy\n"


def test_the_state_may_not_lie_in_the_library(odd: Path) -> None:
    before = seen(odd)
    line = refused("run", "--library", odd, "--state", odd / "odd things" / "state")
    assert f"the state folder lies inside {odd}" in line
    assert seen(odd) == before  # not even the state folder was made


def test_nor_the_library_in_the_state(tmp_path: Path) -> None:
    """The copies that a run before has left, say: they would be removed before being read."""
    state = tmp_path / "state"
    library = state / "library"
    library.mkdir(parents=True)
    (library / "mine.txt").write_text("mine")
    before = seen(state)
    for given in (library, state):
        assert "the state folder" in refused("run", "--library", given, "--state", state)
        assert seen(state) == before
