"""A server that restarts ends a plain Celery worker one time in ten; ours go on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.reliability.cells import cell
from tests.reliability.operations import ALL
from tests.reliability.world import WORKERS, World

TIMES: Final = 20


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with World(tmp_path / "world") as made:
        yield made


@pytest.mark.slow
def test_workers_outlive_twenty_restarts_of_their_server(world: World) -> None:
    before = {worker: world.pid(worker) for worker in WORKERS}
    for _ in range(TIMES):
        found = cell(world, ALL["broker restart"], "invalidate immediate")
        assert found.wrong == [], world.said()
        assert {worker: world.pid(worker) for worker in WORKERS} == before, world.said()
