"""The morning: devices read, files change, and every change is followed to the last tier."""

from __future__ import annotations

import os
import random
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from itertools import chain, cycle
from pathlib import Path

from cachekeeper.core.strategy import Strategy
from cachekeeper.store.redis.records import RedisActivity
from demo.editor import Editor
from demo.edits import Kind, Proof, Prover
from demo.gauges import MemoryGauge, QuotaGauge
from demo.pace import Pace
from demo.score import Check, Tally, checks
from demo.stage import DEVICES, Stage

EDITABLE = 200 * 1024  # bytes: a value that the Redis tier holds too
REFRESH_S = 0.25


class Morning:
    """Plays on a stage; ``tally`` may be read at any time."""

    def __init__(self, stage: Stage, pace: Pace) -> None:
        self._stage, self._pace = stage, pace
        devices = sorted(chain.from_iterable(DEVICES))
        stores = stage.cache.stores
        self._devices, self._activity = devices, RedisActivity(stores.connection)
        self._quota = QuotaGauge(stores.files, devices, stage.quota)
        self._memory = MemoryGauge(stage.options.state, self._others)
        self._prover = Prover(stage.cache, Editor(stage.library), stage.readers, pace.clean_s)
        self._failures: list[str] = []
        # A state that was used before has counted before.
        self._done_before = self._activity.totals()
        self._before: dict[str, int] = {}
        self._before = self.counters()
        self.proofs: list[Proof] = []
        self.reads: dict[str, int] = {}
        self.news: deque[Proof] = deque(maxlen=6)
        self._changes = self._planned()
        self.planned = len(self._changes)
        self.began = time.monotonic()

    def play(self, shown: Callable[[Morning], None]) -> Tally:
        """Play it; ``shown`` is called a few times a second."""
        with ExitStack() as stack:
            stack.enter_context(self._quota)
            stack.enter_context(self._memory)
            for reader in self._stage.readers:
                reader.call("play")
            pool = stack.enter_context(ThreadPoolExecutor(self._pace.at_once))
            changes = iter(self._changes)
            running: set[Future[Proof]] = set()
            while not self._over(running):
                while len(running) < self._pace.at_once and (change := next(changes, None)):
                    running.add(pool.submit(self._prover.prove, *change))
                self._collect(running)
                self._count()
                shown(self)
            for reader in self._stage.readers:
                self._failures += reader.call("rest")["failures"]
            self._count()
        return self.tally()

    def tally(self) -> Tally:
        """What has been counted so far."""
        return Tally(
            self.proofs,
            self._quota,
            self._memory,
            self.counters(),
            self._done(),
            self._failures,
        )

    def _done(self) -> dict[str, float]:
        """What the schedule's tasks did in this morning, not in one before."""
        changed = {k: v - self._done_before.get(k, 0) for k, v in self._activity.totals().items()}
        return {name: figure for name, figure in changed.items() if figure}

    def verdict(self) -> list[Check]:
        """The checks as they stand."""
        return checks(self.tally(), self._pace)

    def counters(self) -> dict[str, int]:
        """The counters of all devices together."""
        ledgers = [self._stage.cache.stores.devices.ledger(device) for device in self._devices]
        names = dict.fromkeys(chain.from_iterable(ledger.counters for ledger in ledgers))
        sums = {name: sum(ledger.counters.get(name, 0) for ledger in ledgers) for name in names}
        return {name: count - self._before.get(name, 0) for name, count in sums.items()}

    @property
    def on_disk(self) -> dict[str, int]:
        """Bytes that each device has on disk."""
        return self._quota.now

    @property
    def quota(self) -> int:
        """Bytes that each may have."""
        return self._quota.quota

    def _planned(self) -> list[tuple[str, Kind, Strategy]]:
        """What is done to which file: every file once, the strategies in turn."""
        dice = random.Random(7)
        paths = self._stage.paths()
        small = [p for p in paths if _size(self._stage.library / p) <= EDITABLE] or paths
        dice.shuffle(small)
        amounts = {
            Kind.EDIT: self._pace.edits,
            Kind.RENAME: self._pace.renames,
            Kind.DELETE: self._pace.deletes,
        }
        kinds = [kind for kind, amount in amounts.items() for _ in range(amount)]
        dice.shuffle(kinds)
        return list(zip(small, kinds, cycle(Strategy), strict=False))

    def _collect(self, running: set[Future[Proof]]) -> None:
        """Take what has ended; wait a moment for the rest."""
        end = time.monotonic() + REFRESH_S
        try:
            for future in as_completed(set(running), timeout=REFRESH_S):
                running.discard(future)
                self.proofs.append(future.result())
                self.news.append(self.proofs[-1])
        except TimeoutError:
            return
        time.sleep(max(0.0, end - time.monotonic()))

    def _over(self, running: set[Future[Proof]]) -> bool:
        played = time.monotonic() - self.began
        faults = sum(len(proof.faults) for proof in self.proofs)
        if faults > self._pace.too_many_faults or played > self._pace.most_s:
            return True
        if running or len(self.proofs) < self.planned or played < self._pace.least_s:
            return False
        # What beat does comes in its own time; what went wrong won't come right.
        return faults > 0 or all(check.holds for check in self.verdict())

    def _count(self) -> None:
        reads: dict[str, int] = {}
        for reader in self._stage.readers:
            for name, count in reader.call("stats").items():
                reads[name] = reads.get(name, 0) + count
        self.reads = reads

    def _others(self) -> dict[int, str]:
        return {reader.pid: "reader" for reader in self._stage.readers} | {os.getpid(): "demo"}


def _size(path: Path) -> int:
    return path.stat().st_size
