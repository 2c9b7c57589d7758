"""Set-up from nothing: what can be checked without doing it."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import bootstrap

ROOT = Path(__file__).parents[2]
OLDEST_THAT_MUST_READ_IT = (3, 6)


def run(*args: str, python: str = sys.executable) -> subprocess.CompletedProcess[str]:
    command = [python, str(ROOT / "bootstrap.py"), *args]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)


def test_an_old_python_can_read_it_and_so_hand_over() -> None:
    source = (ROOT / "bootstrap.py").read_text()
    ast.parse(source, feature_version=OLDEST_THAT_MUST_READ_IT)


def test_help_names_every_command() -> None:
    shown = run("help").stdout
    assert all(f"bootstrap.py {name} " in shown for name in [*bootstrap.COMMANDS, "lock"])


def test_an_unknown_command_is_refused_with_those_that_exist() -> None:
    done = run("rum")
    assert done.returncode == 1
    assert "unknown command rum; one of: run, demo" in done.stderr
    assert "Traceback" not in done.stderr


def test_make_calls_commands_that_exist() -> None:
    called = re.findall(r"bootstrap\.py (\w+)", (ROOT / "Makefile").read_text())
    assert {"run", "demo", "test", "lint", "bench", "stop", "lock"} <= set(called)
    assert set(called) <= {*bootstrap.COMMANDS, "lock"}


@pytest.mark.parametrize(
    ("given", "folder"),
    [("~/My Pictures", "/home/me/My Pictures"), ("/a $b", "/a $b"), ("here", "/somewhere/here")],
)
def test_library_is_where_the_caller_means(
    given: str, folder: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.chdir(tmp_path)
    expected = folder.replace("/somewhere", str(tmp_path))
    assert bootstrap.library([given, "--more"]) == ["--library", expected, "--more"]


def test_options_alone_are_left_alone() -> None:
    assert bootstrap.library([]) == []
    assert bootstrap.library(["--more"]) == ["--more"]


def test_no_python_of_the_caller_interferes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    monkeypatch.setenv("PYTHONWARNINGS", "error")
    env = bootstrap.environment()
    assert not [name for name in env if name.startswith("PYTHON")]
    assert env["PATH"].split(":")[0] == str(ROOT / ".venv" / "bin")


def test_the_lock_has_hashes_and_no_address() -> None:
    text = (ROOT / "requirements.lock").read_text()
    assert "://" not in text
    entries = re.split(r"\n(?=\S)", text.strip())
    assert all("==" in entry and "--hash=sha256:" in entry for entry in entries)


def test_the_lock_holds_all_that_is_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    declared = [
        *project["project"]["dependencies"],
        *(each for extra in project["project"]["optional-dependencies"].values() for each in extra),
        *project["dependency-groups"]["dev"],
        *project["build-system"]["requires"],
    ]
    locked = re.findall(r"^(\S+)==(\S+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    for requirement in map(Requirement, declared):
        versions = [v for name, v in locked if name == canonicalize_name(requirement.name)]
        assert any(v in requirement.specifier for v in versions), requirement
