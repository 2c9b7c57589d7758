"""A deployment of the test's own on the server of all, and what a worker of it does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cachekeeper.settings import Settings
from workers.wiring import Wiring


@pytest.fixture
def site(server_url: str, deployment: str, tmp_path: Path) -> Settings:
    """A deployment of the test's own; what is sent to its workers nobody takes."""
    return Settings(
        cache_url=server_url,
        broker_url=server_url,
        deployment=deployment,
        state=tmp_path / "state",
        lease_s=0.4,  # a client takes up to a quarter of it to leave
        prefetch=False,
    )


@pytest.fixture
def wiring(site: Settings) -> Iterator[Wiring]:
    """What a worker of the deployment does."""
    wiring = Wiring(site)
    yield wiring
    wiring.cache.close()
