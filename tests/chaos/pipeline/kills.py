"""What is killed with ``kill -9``, each at a random point."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import psutil

from tests.chaos.pipeline.site import BEATS, WORKERS, Site

#: How long the server is away, at most.
AWAY_S: Final = 1.5
#: A worker has a pool by then.
STARTED_S: Final = 20.0
#: AOF everysec may lose the last second, when the machine dies. Less is taken back.
LOST_AT_MOST_S: Final = 0.8


@dataclass(frozen=True, slots=True)
class Kill:
    """One of them; times in seconds since 1970."""

    what: str
    at: float
    over: float  # when it may have come back
    is_crash: bool = False  # of the server: what it accepted just before may be gone


def child(site: Site, chance: random.Random) -> Kill | None:
    """A process of a worker's pool."""
    end = time.monotonic() + STARTED_S
    while time.monotonic() < end:
        site.tend()
        with suppress(psutil.NoSuchProcess, ProcessLookupError):
            pool = psutil.Process(site.pid(chance.choice(WORKERS))).children()
            if pool:
                os.kill(chance.choice(pool).pid, signal.SIGKILL)
                return Kill("child", time.time(), time.time())
        time.sleep(0.05)
    return None


def worker(site: Site, chance: random.Random) -> Kill | None:
    """The main process of a worker."""
    return _kill("worker", site, chance.choice(WORKERS))


def beat(site: Site, chance: random.Random) -> Kill | None:
    """One of the two."""
    return _kill("beat", site, chance.choice(BEATS))


def server(site: Site, chance: random.Random) -> Kill | None:
    """The server, which comes back after a while with what it has written."""
    at = time.time()
    site.server.kill()
    time.sleep(chance.uniform(0, AWAY_S))
    site.server.start()
    site.server_is_up()
    return Kill("server", at, time.time(), is_crash=True)


def machine(site: Site, chance: random.Random) -> Kill | None:
    """The server, which comes back without what it had not synced to its disk."""
    if site.plan.aof == "always":
        return None  # nothing is lost
    begin = time.monotonic()
    site.server.copy()
    time.sleep(max(0.0, chance.uniform(0, LOST_AT_MOST_S) - (time.monotonic() - begin)))
    at = time.time()
    site.server.kill()
    if time.monotonic() - begin < 1:
        site.server.restore()
    else:  # too busy to take a copy in time
        site.server.start()
    site.server_is_up()
    return Kill("machine", at, time.time(), is_crash=True)


def _kill(what: str, site: Site, name: str) -> Kill | None:
    with suppress(ProcessLookupError):
        os.kill(site.pid(name), signal.SIGKILL)
        return Kill(what, time.time(), time.time())
    return None


ALL: Final[tuple[Callable[[Site, random.Random], Kill | None], ...]] = (
    child,
    worker,
    beat,
    server,
    machine,
)
