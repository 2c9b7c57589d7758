"""One run: readers that are killed, files that change, sweeps; then the judgement.

At every look, the bytes in the device's folder and the bytes in its ledger are within the quota.
After the last sweep they are equal, every entry of the manifest has its file and its blob, of just
the content that its hash says, and no blob is left that neither a device nor a key names.
"""

from __future__ import annotations

import copy
import hashlib
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from cachekeeper.client.cache import Cache
from cachekeeper.core.keys import file_key
from cachekeeper.core.request import make_request
from cachekeeper.local.server import EmbeddedServer
from cachekeeper.services.device import RESERVATION_S
from cachekeeper.services.evict import EvictionSweep
from cachekeeper.settings import PREFIX, load
from tests.chaos.devices.world import DEVICE, MIB, sizes, write
from tests.support import unused_port

SWEEP_S: Final = 1.0
EDIT_S: Final = 0.2
LOOK_S: Final = 0.01


@dataclass(frozen=True, slots=True)
class Plan:
    """The size of a run."""

    seconds: float = 60.0
    quota: int = 100 * MIB
    library: int = 1000 * MIB
    files: int = 400
    processes: int = 4
    readers: int = 50
    kill_s: float = 1.5  # from one kill to the next
    policy: str = "gdga"
    seed: int = 1


@dataclass(slots=True)
class Outcome:
    """What was seen; ``wrong`` in words."""

    looks: int = 0
    kills: int = 0
    edits: int = 0
    most_on_disk: int = 0
    most_in_ledger: int = 0
    settled: int = 0
    counters: dict[str, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def run(plan: Plan) -> Outcome:
    """Do it all."""
    with tempfile.TemporaryDirectory(prefix="cachekeeper-chaos-") as folder:
        origin = Path(folder) / "origin"
        origin.mkdir()
        chance, outcome = random.Random(plan.seed), Outcome()
        drawn = sizes(plan.files, plan.library, chance)
        library = {f"f{number:04}": size for number, size in enumerate(drawn)}
        for path, size in library.items():
            write(origin, path, 0, size)
        with _served(Path(folder), origin, plan) as cache:
            _play(plan, cache, origin, library, chance, outcome)
            _judge(plan, cache, outcome)
        return outcome


@contextmanager
def _served(folder: Path, origin: Path, plan: Plan) -> Iterator[Cache]:
    """A server, and a cache on it; the environment is that of the readers."""
    with ExitStack() as stack:
        server = stack.enter_context(EmbeddedServer(folder / "server", port=unused_port()))
        given = {
            "cache_url": server.url,
            "broker_url": server.url,
            "state": folder / "state",
            "origin": origin,
            "device_quota": plan.quota,
            "device_policy": plan.policy,
            "prefetch": False,
            "disk_min_free": 0,
            "memory_bytes": 0,
        }
        for name, value in given.items():
            variable = f"{PREFIX}{name.upper()}"
            os.environ[variable] = str(value)
            stack.callback(os.environ.pop, variable)
        yield stack.enter_context(Cache(load()))


def _play(
    plan: Plan,
    cache: Cache,
    origin: Path,
    library: dict[str, int],
    chance: random.Random,
    outcome: Outcome,
) -> None:
    """Readers and kills, edits, sweeps, and looks at the bytes, until the time is over."""
    stop = threading.Event()
    helpers = [
        threading.Thread(target=_look, args=(plan, cache, stop, outcome)),
        threading.Thread(target=_sweep, args=(cache, stop, outcome)),
        threading.Thread(target=_edit, args=(plan, cache, origin, library, stop, outcome)),
    ]
    readers = [_reader(plan, number) for number in range(plan.processes)]
    for helper in helpers:
        helper.start()
    end, seed = time.monotonic() + plan.seconds, plan.processes
    try:
        while (left := end - time.monotonic()) > 0:
            stop.wait(min(left, chance.uniform(0.5, 1.5) * plan.kill_s))
            number = chance.randrange(plan.processes)
            readers[number].kill()
            if (status := readers[number].wait()) != -9:
                outcome.wrong.append(f"a reader ended by itself with status {status}")
            outcome.kills, seed = outcome.kills + 1, seed + 1
            readers[number] = _reader(plan, seed)
    finally:
        for reader in readers:
            reader.kill()
            reader.wait()
        stop.set()
        for helper in helpers:
            helper.join()


def _reader(plan: Plan, number: int) -> subprocess.Popen[bytes]:
    threads = -(-plan.readers // plan.processes)
    arguments = [str(1000 * plan.seed + number), str(threads)]
    return subprocess.Popen([sys.executable, "-m", "tests.chaos.devices.reader", *arguments])


def _look(plan: Plan, cache: Cache, stop: threading.Event, outcome: Outcome) -> None:
    while not stop.wait(LOOK_S):
        disk = cache.stores.files.bytes_on_disk(DEVICE)
        ledger = cache.stores.devices.ledger(DEVICE)
        counted = ledger.used + ledger.reserved
        outcome.looks += 1
        outcome.most_on_disk = max(outcome.most_on_disk, disk)
        outcome.most_in_ledger = max(outcome.most_in_ledger, counted)
        if max(disk, counted) > plan.quota:
            outcome.wrong.append(f"{disk} bytes on disk, {counted} in the ledger: above the quota")


def _sweep(cache: Cache, stop: threading.Event, outcome: Outcome) -> None:
    while not stop.wait(SWEEP_S):
        outcome.settled += _sweeper(cache, ahead_s=0).run()["reservations_settled"]


def _sweeper(cache: Cache, ahead_s: float) -> EvictionSweep:
    """The sweep of the workers, some seconds later; then every blob is old enough, too."""
    stores, caches = cache.stores, copy.copy(cache.device_caches)
    caches._now = lambda: time.time() + ahead_s
    return EvictionSweep(
        devices=stores.devices,
        files=stores.files,
        caches=caches,
        collect=lambda age: stores.disk.collect(age if not ahead_s else -1),
        now=caches._now,
    )


def _edit(
    plan: Plan,
    cache: Cache,
    origin: Path,
    library: dict[str, int],
    stop: threading.Event,
    outcome: Outcome,
) -> None:
    chance = random.Random(f"edits {plan.seed}")
    paths = list(library)
    while not stop.wait(EDIT_S):
        path = paths[min(int(chance.expovariate(0.1)), len(paths) - 1)]
        outcome.edits += 1
        write(origin, path, outcome.edits, max(1, int(library[path] * chance.uniform(0.5, 1))))
        now = time.time()
        request = make_request(id=uuid.uuid4().hex, at=now, keys=[file_key(path)])
        cache.stores.marks.mark([request], now)


def _judge(plan: Plan, cache: Cache, outcome: Outcome) -> None:
    """What must hold once everybody is gone and the sweep has come by."""
    stores, wrong = cache.stores, outcome.wrong
    for _ in range(2):  # what the first one lets go is garbage for the second
        outcome.settled += _sweeper(cache, RESERVATION_S + 1).run()["reservations_settled"]
    ledger, manifest = stores.devices.ledger(DEVICE), stores.devices.manifest(DEVICE)
    outcome.counters = ledger.counters
    copies, there = {held.copy: held.size for held in manifest.values()}, stores.files.sizes(DEVICE)
    if ledger.reserved:
        wrong.append(f"{ledger.reserved} bytes are still reserved")
    if not ledger.used == sum(copies.values()) == sum(there.values()) <= plan.quota:
        told = f"{ledger.used} in the ledger, {sum(copies.values())} in the manifest"
        wrong.append(f"{told}, {sum(there.values())} on the disk")
    if copies != there:
        wrong.append(f"{len(copies)} entries, {len(there)} files, and they are not the same")
    for path, held in manifest.items():
        blob = stores.blobs.open(held.sha256)
        if blob is None:
            wrong.append(f"{path}: an entry without its blob")
            continue
        found = hashlib.sha256()
        with blob:
            while piece := blob.read(MIB):
                found.update(piece)
        if found.hexdigest() != held.sha256:
            wrong.append(f"{path}: a blob of another content")
    orphans = set(stores.blobs.digests()) - {held.sha256 for held in manifest.values()}
    orphans -= stores.disk.named()
    if orphans:
        wrong.append(f"{len(orphans)} blobs that nothing names")
    if any((stores.blobs.folder / "incoming").iterdir()):
        wrong.append("halves of contents are left")
