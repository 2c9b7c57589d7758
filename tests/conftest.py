"""What every test starts from: nobody's settings and nobody's state but its own."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from cachekeeper.local.server import EmbeddedServer
from cachekeeper.settings import Settings
from tests.support import fresh_deployment, unused_port

pytest_plugins = ["tests.rig.plugin"]

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


@pytest.fixture(scope="session")
def server_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An embedded server that all tests share; what a test keeps there goes by ``deployment``."""
    with EmbeddedServer(tmp_path_factory.mktemp("server"), port=unused_port()) as server:
        yield server.url


@pytest.fixture
def deployment(server_url: str) -> Iterator[str]:
    """A deployment of the test's own; no key of it is left that would live for ever."""
    with fresh_deployment(server_url) as name:
        yield name


@pytest.fixture
def here(server_url: str, deployment: str, tmp_path: Path) -> Settings:
    """The settings of a deployment of the test's own, in a folder of its own."""
    return Settings(
        cache_url=server_url,
        broker_url=server_url,
        deployment=deployment,
        state=tmp_path / "state",
    )
