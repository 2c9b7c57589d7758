"""A deployment of the test's own on the server of all, and what a worker of it does."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cachekeeper.settings import Settings
from tests.support import but
from workers.wiring import Wiring


@pytest.fixture
def site(here: Settings) -> Settings:
    """A deployment of the test's own; what is sent to its workers nobody takes."""
    # A client takes up to a quarter of its lease to leave.
    return but(here, lease_s=0.4, prefetch=False)


@pytest.fixture
def wiring(site: Settings) -> Iterator[Wiring]:
    """What a worker of the deployment does."""
    wiring = Wiring(site)
    yield wiring
    wiring.cache.close()
