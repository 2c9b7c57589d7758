"""A writer: writes a new version of a source, then invalidates it, and notes what came of it.

    python -m tests.chaos.coherence.writer FOLDER NAME SEED PAUSE_S service|client SOURCE,...

``service`` calls what a worker calls, in this process; ``client`` sends requests to the workers
and waits, in a thread a source. SIGUSR1 has it killed before its next mark, SIGUSR2 after it.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from cachekeeper.client.cache import Cache
from cachekeeper.core.receipt import Status
from cachekeeper.core.request import Request, make_request
from cachekeeper.core.strategy import Consistency, Strategy
from cachekeeper.settings import load
from cachekeeper.store.redis.connection import meet
from cachekeeper.store.redis.marks import RedisMarks
from tests.chaos.coherence import removed
from tests.chaos.coherence.history import Write, WriteLog
from tests.chaos.coherence.world import HOT, Register, source_key, tag_of
from workers.wiring import Wiring

#: Shares of writes: by tag, lazily, of a cold source, of more than one at a time.
BY_TAG, LAZY, COLD, BATCH = 0.1, 0.25, 0.05, 0.1
LEVELS = (Consistency.STRICT, Consistency.EVENTUAL, Consistency.RELAXED)
LEVEL_WEIGHTS = (84, 8, 8)
WAIT_S = 6.0
RETRY_S = 0.1

Invalidate = Callable[[Sequence[Request]], Status]


@dataclass
class Writer:
    """Writes one set of sources, one write after the other."""

    name: str
    register: Register
    log: WriteLog
    invalidate: Invalidate
    sources: Sequence[int]
    chance: random.Random
    pause_s: float

    def write(self) -> None:
        """One write, or a batch of some."""
        level = self.chance.choices(LEVELS, LEVEL_WEIGHTS)[0]
        sources = self._choose()
        requests = [self._request(source, level) for source in sources]
        called = time.monotonic()
        begun = [
            Write(self.name, source, self.register.write(source), level, called, called, "begun")
            for source in sources
        ]
        for write in begun:
            self.log.add(write)
        error = ""
        try:
            status = str(self.invalidate(requests))
        except Exception as caught:
            status, error = "failed", f"{type(caught).__name__}: {caught}"[:200]
        returned = time.monotonic()
        for write in begun:
            self.log.add(write._replace(returned=returned, status=status, error=error))
        if error:
            time.sleep(RETRY_S)
        time.sleep(self.chance.expovariate(1 / self.pause_s))

    def _choose(self) -> list[int]:
        cold = [source for source in self.sources if source >= HOT]
        if cold and self.chance.random() < COLD:
            return [self.chance.choice(cold)]
        hot = [source for source in self.sources if source < HOT]
        count = min(len(hot), 2) if self.chance.random() < BATCH else 1
        return self.chance.sample(hot, count)

    def _request(self, source: int, level: Consistency) -> Request:
        by_tag = self.chance.random() < BY_TAG
        lazy = self.chance.random() < LAZY
        return make_request(
            id=uuid.uuid4().hex,
            at=time.time(),
            keys=() if by_tag else (source_key(source),),
            tags=(tag_of(source),) if by_tag else (),
            strategy=Strategy.LAZY if lazy else Strategy.IMMEDIATE,
            consistency=level,
        )


def by_service() -> Invalidate:
    """What a worker does with a batch, without the queue."""
    settings = load()
    assert settings.cache_url is not None
    meet(settings.cache_url, settings.deployment)
    invalidator = Wiring(settings).invalidator

    def run(requests: Sequence[Request]) -> Status:
        return max((receipt.status for receipt in invalidator.run(requests)), key=_badness)

    return run


def by_client() -> Invalidate:
    """What a producer does."""
    cache = Cache(load(memory_bytes=0))

    def run(requests: Sequence[Request]) -> Status:
        handles = [
            cache.invalidate(
                request.keys,
                tag=request.tags[0] if request.tags else None,
                strategy=request.strategy,
                consistency=request.consistency,
            )
            for request in requests
        ]
        return max((handle.wait(WAIT_S).status for handle in handles), key=_badness)

    return run


def _badness(status: Status) -> int:
    return (Status.DONE, Status.PENDING, Status.UNKNOWN, Status.FAILED).index(status)


def die_when_told() -> None:
    """Let signals choose where in an invalidation this process is killed."""
    die = {"before": False, "after": False}

    def told(number: int, _: FrameType | None) -> None:
        die["before" if number == signal.SIGUSR1 else "after"] = True

    signal.signal(signal.SIGUSR1, told)
    signal.signal(signal.SIGUSR2, told)
    mark = RedisMarks.mark

    def marked(marks: RedisMarks, request: Request, now: float) -> object:
        if die["before"]:
            os.kill(os.getpid(), signal.SIGKILL)
        moment = mark(marks, request, now)
        if die["after"]:
            os.kill(os.getpid(), signal.SIGKILL)
        return moment

    RedisMarks.mark = marked  # type: ignore[method-assign, assignment]  # this process only


def main() -> None:
    """Be a writer."""
    folder, name, seed, pause_s, kind, listed = sys.argv[1:]
    sources = [int(source) for source in listed.split(",")]
    removed.apply()
    die_when_told()
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    register, log = Register(Path(folder) / "register"), WriteLog(Path(folder), name)
    invalidate = by_service() if kind == "service" else by_client()

    def write(chosen: Sequence[int]) -> None:
        chance = random.Random(f"{seed} {chosen}")
        writer = Writer(name, register, log, invalidate, chosen, chance, float(pause_s))
        while not stop.is_set():
            writer.write()

    shares = [sources] if kind == "service" else [[source] for source in sources]
    threads = [threading.Thread(target=write, args=[share]) for share in shares]
    for thread in threads:
        thread.start()
    for thread in threads:
        while thread.is_alive():  # the main thread has to be free for signals
            thread.join(0.2)


if __name__ == "__main__":
    main()
