"""A writer: writes a new version of a source, then invalidates it, and notes what came of it.

    python -m tests.chaos.coherence.writer FOLDER NAME SEED PAUSE_S KIND SOURCE,...

KIND ``service`` calls what a worker calls, in this process; ``client`` and ``async client`` send
requests to the workers and wait, in a thread a source. SIGUSR1 has a process of the first kind
killed before its next mark, SIGUSR2 after it.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any, Final

from cachekeeper.client.aio import AsyncCache
from cachekeeper.client.cache import Cache
from cachekeeper.core.receipt import Status
from cachekeeper.core.request import Request
from cachekeeper.settings import load
from cachekeeper.store.redis.connection import meet
from cachekeeper.store.redis.marks import RedisMarks
from tests.chaos.coherence.history import LineLog
from tests.chaos.coherence.process import begin
from tests.chaos.coherence.world import Register
from tests.chaos.coherence.writing import Invalidate, Writer
from workers.wiring import Wiring

WAIT_S: Final = 8.0
RETRY_S: Final = 0.1


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
        handles = [cache.invalidate(**_asked(request)) for request in requests]
        return max((handle.wait(WAIT_S).status for handle in handles), key=_badness)

    return run


def by_async_client() -> Invalidate:
    """What a producer does on an event loop."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()

    async def run(requests: Sequence[Request]) -> Status:
        handles = [await cache.invalidate(**_asked(request)) for request in requests]
        receipts = await asyncio.gather(*(handle.wait(WAIT_S) for handle in handles))
        return max((receipt.status for receipt in receipts), key=_badness)

    opening = AsyncCache.open(load(memory_bytes=0))
    cache = asyncio.run_coroutine_threadsafe(opening, loop).result()
    return lambda requests: asyncio.run_coroutine_threadsafe(run(requests), loop).result()


KINDS: Final = {"service": by_service, "client": by_client, "async client": by_async_client}


def _asked(request: Request) -> dict[str, Any]:
    """A request as the arguments of ``invalidate``."""
    return {
        "keys": request.keys,
        "tag": request.tags[0] if request.tags else None,
        "namespace": request.namespaces[0] if request.namespaces else None,
        "strategy": request.strategy,
        "consistency": request.consistency,
        "cascade": request.cascade,
    }


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
    begin()
    die_when_told()
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    register, log = Register(Path(folder) / "register"), LineLog(Path(folder), name, "writes")
    invalidate = KINDS[kind]()

    def write(chosen: Sequence[int]) -> None:
        chance = random.Random(f"{seed} {chosen}")
        writer = Writer(name, kind, chosen, chance)
        while not stop.is_set():
            if not writer.write(register, log, invalidate):
                time.sleep(RETRY_S)
            time.sleep(chance.expovariate(1 / float(pause_s)))

    shares = [sources] if kind == "service" else [[source] for source in sources]
    threads = [threading.Thread(target=write, args=[share]) for share in shares]
    for thread in threads:
        thread.start()
    for thread in threads:
        while thread.is_alive():  # the main thread has to be free for signals
            thread.join(0.2)


if __name__ == "__main__":
    main()
