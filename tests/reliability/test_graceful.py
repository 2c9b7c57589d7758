"""A worker that is told to stop in the middle of its work hands it on; nobody waits for a timeout.

The deadlines are those that ship: a batch's is 60 s, a silent worker's 30 s, a message's 900 s.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from cachekeeper.client.receipt import ReceiptHandle
from cachekeeper.core.receipt import Status
from cachekeeper.core.strategy import Consistency, Strategy
from cachekeeper.local.services import WORKER_GRACE_S
from tests.reliability.world import World
from tests.support import wait_until

ABSENT: Final = "a-node-that-does-not-answer"
SHIPPED: Final = {"WORKER_SILENT_S": 30, "BATCH_DEADLINE_S": 60, "ACK_TIMEOUT_S": 60}
#: The grace of a worker, and what another takes to look and to do it on a busy machine: still less
#: than the shortest deadline.
BOUND_S: Final = WORKER_GRACE_S + 16.0
pytestmark = pytest.mark.slow


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with World(tmp_path / "world", given=SHIPPED) as made:
        yield made


@pytest.mark.parametrize("strategy", list(Strategy))
def test_another_worker_does_it_within_the_grace_and_seconds(
    world: World, strategy: Strategy
) -> None:
    worker = "immediate" if strategy is Strategy.IMMEDIATE else "general"
    handle = _held_up(world, strategy)
    world.add_worker("another", worker)
    first = world.pid(worker)
    begin = time.monotonic()
    world.signal(worker, signal.SIGTERM)
    wait_until(lambda: world.pid(worker) != first, 2 * WORKER_GRACE_S)
    world.cache.stores.nodes.leave([ABSENT])
    receipt = handle.wait(60)
    assert receipt.status is Status.DONE
    assert time.monotonic() - begin < BOUND_S, "nobody waited for a deadline"


def _held_up(world: World, strategy: Strategy) -> ReceiptHandle:
    """A request that a worker has marked; it waits for a node until that leaves."""
    stores = world.cache.stores
    stores.nodes.join(ABSENT)
    before = stores.marks.now().epoch
    handle = world.cache.invalidate("photo:a", strategy=strategy, consistency=Consistency.STRICT)
    wait_until(lambda: stores.marks.now().epoch > before)
    assert handle.read().status is Status.PENDING
    return handle
