"""The short form: each operation once, spread over the types of task."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.reliability.cells import cell
from tests.reliability.matrix import SHORT, Name
from tests.reliability.operations import ALL
from tests.reliability.world import World


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One deployment for all of them."""
    with World(tmp_path_factory.mktemp("world") / "world", small_disk=True) as made:
        yield made


@pytest.mark.parametrize("name", SHORT, ids=", ".join)
def test_nothing_is_lost_doubled_stale_or_left(world: World, name: Name) -> None:
    operation, load = name
    found = cell(world, ALL[operation], load)
    assert found.wrong == [], world.said()
    assert found.recovery_s <= ALL[operation].bound_s
