"""One cell: an operation befalls a deployment under a load; what a user cares about holds."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

import psutil
from redis.exceptions import RedisError

from cachekeeper.core.strategy import Strategy
from cachekeeper.errors import CachekeeperError
from cachekeeper.store.redis.dead import RedisDeadLetters
from cachekeeper.store.redis.layout import Layout
from tests.reliability.loads import LOADS, Load
from tests.reliability.operations import Operation
from tests.reliability.world import WORKERS, Open, World
from tests.support import misplaced_keys

#: What the rig itself may fall over.
BROKEN: Final = (
    AssertionError,
    OSError,
    CachekeeperError,
    RedisError,
    psutil.Error,
    subprocess.SubprocessError,
)
#: Work goes on for so long before and after the operation.
AROUND_S: Final = 0.6
BETWEEN_S: Final = 0.05
LOOK_S: Final = 0.05
#: For what is tidied up by a sweep once all has come out: a reservation of a reader that died
#: ends after 20 s.
TIDY_S: Final = 35.0
#: Connections of pools that come and go with what a worker has to do.
SPARE_FILES: Final = 8


@dataclass(slots=True)
class Cell:
    """What became of it; ``wrong`` says it in words, and must be empty."""

    operation: str
    load: str
    accepted: int = 0
    refused: int = 0
    lost: int = 0
    duplicated: int = 0
    stale: int = 0
    recovery_s: float = 0.0
    seconds: float = 0.0
    wrong: list[str] = field(default_factory=list)
    revision: str = ""  # of the checkout
    log: str = ""  # the last that the processes said, if anything is wrong


def cell(world: World, operation: Operation, load_name: str) -> Cell:
    """Play it."""
    begin = time.monotonic()
    for worker in WORKERS:
        world.await_ready(worker)
    files, letters = world.open_files(), _letters(world)
    load = LOADS[load_name](world)
    found = Cell(operation.name, load_name)
    try:
        with _going_on(load):
            time.sleep(AROUND_S)
            world.healed = 0.0
            with operation.play(world, load):
                time.sleep(AROUND_S)
            over = world.healed or time.monotonic()
            time.sleep(AROUND_S)
        owed = _until_nothing(load.owed, over + operation.bound_s)
    except BROKEN as error:
        found.wrong.append(f"{type(error).__name__}: {error}")
        found.seconds = round(time.monotonic() - begin, 2)
        return found
    found.recovery_s = round(time.monotonic() - over, 2)
    found.accepted, found.refused = load.accepted, load.refused
    twice = _until_nothing(load.twice, time.monotonic() + TIDY_S)
    failed = load.failed()
    found.wrong += [f"the client raised {each}" for each in load.broken]
    found.lost, found.duplicated, found.stale = len(owed), len(twice), len(load.stale)
    for what, those in (("lost", owed), ("twice", twice), ("stale", load.stale)):
        found.wrong += [f"{what}: {each}" for each in those[:3]]
    if not load.accepted:
        found.wrong.append("nothing was accepted")
    found.wrong += [f"failed: {each}" for each in failed if each.endswith("silently")]
    if (more := _letters(world) - letters) > operation.letters:
        found.wrong.append(f"{more} dead letters, not {operation.letters}")
    found.wrong += _until_nothing(lambda: _left(world), time.monotonic() + TIDY_S)
    found.wrong += _leaked_files(world, files)
    found.seconds = round(time.monotonic() - begin, 2)
    return found


@contextmanager
def _going_on(load: Load) -> Iterator[None]:
    """Work is asked for until the end of the body."""
    over = threading.Event()

    def run() -> None:
        try:
            while not over.wait(BETWEEN_S):
                load.step()
        except Exception as error:  # no error that a client is promised
            load.broken.append(repr(error))

    thread = threading.Thread(target=run, name="load")
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _until_nothing(look: Callable[[], list[str]], end: float) -> list[str]:
    """What is left at the end, at best nothing, and then at once."""
    while True:
        try:
            left = look()
        except (CachekeeperError, RedisError) as error:  # the server has just come back
            left = [str(error)]
        if not left or time.monotonic() > end:
            return left
        time.sleep(LOOK_S)  # between two looks


def _letters(world: World) -> int:
    return sum(1 for _ in RedisDeadLetters(world.cache.stores.connection).newest())


def _left(world: World) -> list[str]:
    """What lies where nothing may lie when there is nothing to do."""
    found = [*_keys(world), *_messages(world), *_blobs(world), *_reserved(world)]
    return found + [f"orphan: {each}" for each in world.orphans()]


def _keys(world: World) -> list[str]:
    layout: Layout = world.cache.stores.connection.layout
    places = [
        *(layout.inflight, layout.requests, layout.attempts),
        *(layout.due, layout.due_work, layout.due_claims, layout.prepared, layout.released),
        *(layout.prepared_requests, layout.fenced, layout.waiting),
    ]
    for strategy in Strategy:
        places += [layout.pending(strategy), layout.contents(strategy)]
        places.append(layout.contents_of(strategy))
    with world.server.client() as client:
        left = [place for place in places if client.exists(place)]
        left += list(client.scan_iter(match=f"{layout.prefix}leftover:*", count=1000))
        wrong = misplaced_keys(client, layout_name(layout))
    return [f"key: {place}" for place in left] + [f"key: {line}" for line in wrong]


def layout_name(layout: Layout) -> str:
    """The deployment that key names are of."""
    return layout.prefix.strip("{}:")


def _messages(world: World) -> list[str]:
    """Those that were taken by somebody who is no more."""
    with world.server.client() as client:
        before = time.time() - 6
        hidden = client.zcount("unacked_index", "-inf", before)
    return [f"messages: {hidden} unacknowledged"] if hidden else []


def _blobs(world: World) -> list[str]:
    """Half contents, and contents that the collector would not find."""
    stores = world.cache.stores
    incoming = stores.blobs.folder / "incoming"
    halves = list(incoming.iterdir()) if incoming.exists() else []
    return [f"blob: {each.name} is half" for each in halves]


def _reserved(world: World) -> list[str]:
    stores, found = world.cache.stores, []
    for device in stores.devices.ids():
        ledger = stores.devices.ledger(device)
        on_disk = stores.files.bytes_on_disk(device)
        if ledger.reserved or on_disk != ledger.used:
            found.append(
                f"device {device}: {ledger.reserved} reserved, {ledger.used} counted, "
                f"{on_disk} on disk"
            )
    return found


def _leaked_files(world: World, before: Mapping[str, Open]) -> list[str]:
    found = []
    for worker, now in world.open_files().items():
        then = before.get(worker)
        if then is None or (then.pid, then.began) != (now.pid, now.began):
            continue  # another process
        if now.count > then.count + SPARE_FILES:
            found.append(f"files: {worker} has {now.count} open, had {then.count}")
    return found
