"""What every test starts from: nobody's settings and nobody's state but its own."""

from __future__ import annotations

import os
import tempfile

import pytest

STATE = pytest.StashKey[tempfile.TemporaryDirectory[str]]()


def pytest_configure(config: pytest.Config) -> None:
    """Forget the caller's deployment: tests neither read nor touch it, nor do their children."""
    for variable in [name for name in os.environ if name.startswith("CACHEKEEPER_")]:
        del os.environ[variable]
    state = config.stash[STATE] = tempfile.TemporaryDirectory(prefix="cachekeeper-tests-")
    os.environ["XDG_STATE_HOME"] = state.name


def pytest_unconfigure(config: pytest.Config) -> None:
    """Leave nothing behind."""
    config.stash[STATE].cleanup()
