"""A copy of the tree in which something is changed, and the tests that are run there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

from tests.mutations.listed import Mutation

ROOT: Final = Path(__file__).parents[2]
COPIED: Final = ("src", "tasks", "workers", "tests", "examples", "celeryconfig.py")
COPIED_TOO: Final = ("pyproject.toml", "deploy")
LEFT_OUT: Final = shutil.ignore_patterns("__pycache__", ".*", "*.pyc")
PASSED, FAILED = 0, 1  # pytest's exit statuses; others say that it could not run them
LONGEST_S: Final = 300.0


class Verdict(NamedTuple):
    """What a run of the tests came to."""

    status: int
    said: str

    @property
    def passed(self) -> bool:
        """All of them."""
        return self.status == PASSED

    @property
    def failed(self) -> bool:
        """At least one; one that can't be found or imported is no failure."""
        return self.status == FAILED


def copy_tree(to: Path) -> None:
    """What the tests need of the checkout."""
    for name in (*COPIED, *COPIED_TOO):
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, to / name, ignore=LEFT_OUT)
        else:
            shutil.copy(source, to / name)


def check(mutation: Mutation, root: Path = ROOT) -> None:
    """Refuse a mutation that does not fit the product any more.

    Raises:
        ValueError: what it replaces is not there exactly once.
    """
    found = (root / mutation.file).read_text().count(mutation.old)
    if found != 1:
        raise ValueError(f"{mutation.name}: {found} times in {mutation.file}: {mutation.old!r}")


def mutated(mutation: Mutation, tree: Path) -> Verdict:
    """Run its tests in a tree where it is applied; the tree is as before afterwards."""
    check(mutation, tree)
    file = tree / mutation.file
    before = file.read_text()
    file.write_text(before.replace(mutation.old, mutation.new))
    try:
        return outcome_of(mutation.tests, tree)
    finally:
        file.write_text(before)


def outcome_of(tests: Iterable[str], tree: Path) -> Verdict:
    """Run tests in a tree."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
    # Bytecode is told from source by its time in seconds: a change within one would not be seen.
    env = {**os.environ, "PYTHONPATH": f"{tree / 'src'}{os.pathsep}{tree}"}
    env["PYTHONDONTWRITEBYTECODE"] = "1"
    done = subprocess.run(
        command, cwd=tree, env=env, capture_output=True, text=True, timeout=LONGEST_S, check=False
    )
    return Verdict(done.returncode, done.stdout + done.stderr)
