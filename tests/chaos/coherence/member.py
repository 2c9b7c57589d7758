"""A member: a process with a cache that reads, through all tiers and from single ones.

    python -m tests.chaos.coherence.member FOLDER NAME SEED PAUSE_S

SIGUSR1 makes it fork: the child reads on with the cache that it inherited. After SIGUSR2 the
child closes that cache first.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
import time
from collections import deque
from contextlib import suppress
from pathlib import Path
from types import FrameType

from cachekeeper.errors import CachekeeperError
from tests.chaos.coherence.declarer import Declarer, DeclaringCache
from tests.chaos.coherence.history import Complaints, How, ReadLog
from tests.chaos.coherence.process import begin
from tests.chaos.coherence.spaces import Spaces
from tests.chaos.coherence.world import (
    DECLARED,
    HOT,
    HOT_KEYS,
    INPUTS,
    KEYS,
    NUMBER_OF,
    ON_DISK,
    Register,
    pick,
    unpack,
)

BURST = 12
CHILD_S = 1.2
#: Keys that memory was asked for in vain, and that are read through all tiers next.
WANTED = 4
#: Shares of reads; and of fills, which are none.
ALONE, FILL = 0.06, 0.01
#: Which statistic rises when a read ended there; the first one counts.
ENDS = (
    ("bypass", How.BYPASS),
    ("loader", How.LOADER),
    ("disk", How.DISK),
    ("redis", How.REDIS),
)


class Member:
    """Reads until told to stop."""

    def __init__(self, folder: Path, name: str, seed: int, pause_s: float) -> None:
        self._folder, self._name, self._pause_s = folder, name, pause_s
        self._random = random.Random(seed)
        self._cache = DeclaringCache()
        self._spaces = Spaces(self._cache, Register(folder / "register"), self._random)
        self._wanted: deque[int] = deque(maxlen=WANTED)
        self._log = ReadLog(folder, name)
        self._declarer = Declarer(folder, name, self._random)
        self._forks, self._fork, self._stop = 0, 0, False
        self._complaints = Complaints()

    def run(self) -> None:
        """Read, and fork when told to."""
        for told in (signal.SIGUSR1, signal.SIGUSR2):
            signal.signal(told, self._told_to_fork)
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, self._told_to_stop)
        beside = threading.Thread(target=self._read_memory, daemon=True)
        beside.start()
        while not self._stop:
            self._burst()
            self._declare()
            if self._fork:
                self._do_fork()
        beside.join(1)
        self._cache.close()
        self._log.flush()

    def _burst(self) -> None:
        for _ in range(BURST):
            chosen = self._random.random()
            if chosen < ALONE:
                self._read_alone()
            elif chosen < ALONE + FILL:
                self._fill()
            else:
                self._read_through()
        time.sleep(self._random.uniform(0.2, 1.8) * self._pause_s)

    def _read_through(self) -> None:
        at = self._wanted.popleft() if self._wanted else pick(self._random)
        before = self._cache.stats()
        begin = time.monotonic()
        try:
            body = self._spaces.get(KEYS[at])
        except Exception as error:
            self._failed(begin, at, 0, error)
            return
        end = time.monotonic()
        after = self._cache.stats()
        how = next((how for name, how in ENDS if after[name] != before[name]), How.MEMORY)
        self._log.add(begin, end, at, how, 0, body)
        self._declarer.saw(KEYS[at], body)

    def _fill(self) -> None:
        at = self._random.randrange(self._random.choice((HOT, HOT_KEYS)))  # more of sources
        begin = time.monotonic()
        try:
            body, stored = self._spaces.fill(KEYS[at])
        except Exception as error:
            self._failed(begin, at, 0, error)
            return
        how = How.FILLED if stored else How.REFUSED
        self._log.add(begin, time.monotonic(), at, how, 0, body)

    def _declare(self) -> None:
        """Say of a value what its loader made it from beside what it read through the cache."""
        self._declarer.look()
        if (due := self._declarer.due()) is None:
            return
        (key, number), on = due, DECLARED[due[0]]
        with suppress(CachekeeperError):
            self._spaces.get(on)
            known = on not in INPUTS or self._cache.stores.graph.inputs(on)
            if known and self._number(key) == number:
                called = time.monotonic()
                self._cache.depend(key, on)
                if self._number(key) == number:  # so it was this value and no other
                    self._declarer.declared(key, number, called, self._cache.asked)

    def _number(self, key: str) -> int:
        return unpack(self._spaces.get(key))[NUMBER_OF[key]]

    def _read_alone(self) -> None:
        tiers = self._cache.tiers
        name = self._random.choice(list(tiers))
        at = self._random.choice(ON_DISK) if name == "disk" else pick(self._random)
        begin = time.monotonic()
        try:
            found = tiers[name].read(KEYS[at])
        except Exception as error:
            self._failed(begin, at, 1 + How[name.upper()], error)
            return
        tier = How[name.upper()]
        if found is None:
            self._log.add(begin, time.monotonic(), at, How.MISS, 1 + tier, None)
        else:
            self._log.add(begin, time.monotonic(), at, tier, 1 + tier, found.entry.body)

    def _read_memory(self) -> None:
        """From memory alone, whatever the other thread waits for."""
        log, memory = ReadLog(self._folder, f"{self._name}-memory"), self._cache.tiers["memory"]
        chance = random.Random(self._random.random())
        while not self._stop:
            for _ in range(BURST // 3):
                at = pick(chance)
                begin = time.monotonic()
                found = memory.read(KEYS[at])
                body = None if found is None else found.entry.body
                how = How.MISS if found is None else How.MEMORY
                if found is None and at not in self._wanted:
                    self._wanted.append(at)
                log.add(begin, time.monotonic(), at, how, 1 + How.MEMORY, body)
            time.sleep(self._pause_s)
        log.flush()

    def _failed(self, begin: float, at: int, alone: int, error: Exception) -> None:
        self._log.add(begin, time.monotonic(), at, How.ERROR, alone, None)
        self._complaints.add(error)

    def _told_to_fork(self, told: int, _: FrameType | None) -> None:
        self._fork = told

    def _told_to_stop(self, _: int, __: FrameType | None) -> None:
        self._stop = True

    def _do_fork(self) -> None:
        told, self._fork, self._forks = self._fork, 0, self._forks + 1
        if os.fork() == 0:
            try:
                self._be_a_child(closes=told == signal.SIGUSR2)
            finally:
                os._exit(0)

    def _be_a_child(self, *, closes: bool) -> None:
        self._log = ReadLog(self._folder, f"{self._name}-fork{self._forks}")
        self._name, self._stop, self._fork = f"{self._name}-fork{self._forks}", False, 0
        if closes:
            self._cache.close()
        end = time.monotonic() + CHILD_S
        while time.monotonic() < end and not self._stop:
            self._burst()
        self._log.flush()


def main() -> None:
    """Be a member."""
    folder, name, seed, pause_s = sys.argv[1:]
    begin()
    Member(Path(folder), name, int(seed), float(pause_s)).run()


if __name__ == "__main__":
    main()
