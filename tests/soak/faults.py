"""What happens to the deployment meanwhile."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import psutil

from tests.rig.proxy import Mode
from tests.soak.stack import CLIENTS, READY_S, Stack
from tests.support import wait_until

#: How long something stands still or is cut off: longer than a lease.
AWAY_S: Final = (0.5, 4.0)
#: How long the server stands still: others are patient for longer.
SERVER_AWAY_S: Final = (0.3, 1.5)

Fault = Callable[[Stack, random.Random], None]


def child(stack: Stack, chance: random.Random) -> None:
    """``kill -9`` of a process of a worker's pool."""
    pid = stack.pid_of(chance.choice(["immediate", "general"]))
    with suppress(psutil.NoSuchProcess):
        if pid is not None and (pool := psutil.Process(pid).children()):
            chance.choice(pool).kill()


def worker(stack: Stack, chance: random.Random) -> None:
    """``kill -9`` of a worker."""
    _kill(stack, chance.choice(["immediate", "general"]), signal.SIGKILL)


def beat(stack: Stack, _: random.Random) -> None:
    """``kill -9`` of the schedule."""
    _kill(stack, "beat", signal.SIGKILL)


def endpoint(stack: Stack, _: random.Random) -> None:
    """``kill -9`` of what devices talk to."""
    _kill(stack, "devices", signal.SIGKILL)


def server_killed(stack: Stack, _: random.Random) -> None:
    """``kill -9`` of the server."""
    _kill(stack, "server", signal.SIGKILL)


def server_restarted(stack: Stack, _: random.Random) -> None:
    """The server ends in order, and is started again."""
    _kill(stack, "server", signal.SIGTERM)


def stopped(stack: Stack, chance: random.Random) -> None:
    """SIGSTOP of a worker, beat or a client, and SIGCONT a while later."""
    name = chance.choice(["immediate", "general", "beat", *CLIENTS])
    pid = stack.clients[name].pid if name in CLIENTS else stack.pid_of(name)
    _pause(pid, chance.uniform(*AWAY_S))


def server_stopped(stack: Stack, chance: random.Random) -> None:
    """SIGSTOP of the server, and SIGCONT."""
    _pause(stack.pid_of("server"), chance.uniform(*SERVER_AWAY_S))


def cut(stack: Stack, chance: random.Random) -> None:
    """A client can't reach the server: refused, or nothing gets through."""
    name = chance.choice(CLIENTS)
    stack.proxy.set(name, chance.choice([Mode.REFUSED, Mode.HELD, Mode.STRANDED]))
    time.sleep(chance.uniform(*AWAY_S))
    stack.proxy.set(name, Mode.OPEN)


#: All of them while things are to break; the second half keeps every process, so that each has
#: a life in which its memory can be seen to stay.
KILLS: Final[tuple[Fault, ...]] = (
    child,
    worker,
    beat,
    endpoint,
    server_killed,
    server_restarted,
)
PAUSES: Final[tuple[Fault, ...]] = (stopped, server_stopped, cut)


def _kill(stack: Stack, service: str, number: signal.Signals) -> None:
    pid = wait_until(lambda: stack.pid_of(service), READY_S)
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def _pause(pid: int | None, seconds: float) -> None:
    with suppress(ProcessLookupError):
        if pid is not None:
            os.kill(pid, signal.SIGSTOP)
            try:
                time.sleep(seconds)
            finally:
                os.kill(pid, signal.SIGCONT)
