"""Workers and nodes as processes, with the command lines and the configuration that ship."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from bench.servers import Bed
from cachekeeper.local.guardian import Group, stop
from cachekeeper.local.services import application_root, application_services
from cachekeeper.local.spawn import Guardian, spawn
from cachekeeper.local.state import State
from cachekeeper.settings import PREFIX, load

READY_S: Final = 60.0
END_S: Final = 0.5
NONE: Final[Mapping[str, str]] = {}


@contextmanager
def worker(
    server: Bed, name: str, *options: str, settings: Mapping[str, str] = NONE
) -> Iterator[subprocess.Popen[bytes]]:
    """One of the services of ``up``; further options of Celery's command line go at its end.

    ``settings`` are variables of its environment.
    """
    root = application_root()
    assert root is not None
    state = State(server.state)
    state.create()
    services = application_services(root, state, load(), environment(server))
    (wanted,) = [service for service in services if service.name == name]
    log = server.state / f"{name}.log"
    with Guardian() as guardian, log.open("ab") as output:
        begun_at = output.tell()
        env = os.environ | dict(wanted.env) | {"TMPDIR": str(server.state)} | dict(settings)
        argv = [*wanted.argv, *options]
        process = spawn(argv, guardian, output=output, nice=wanted.nice, env=env, cwd=root)
        try:
            until(lambda: _is_ready(wanted.ready, log, begun_at))
            yield process
        finally:
            stop([Group.of(process.pid, grace=END_S)])  # nothing that it might finish is awaited
            process.wait()
            guardian.remove(process.pid)


def _is_ready(ready: re.Pattern[str], log: Path, begun_at: int) -> bool:
    """Whether a worker has said so since its start; it may be at work by now."""
    lines = log.read_bytes()[begun_at:].decode().splitlines()
    return any(ready.search(line) for line in lines)


@contextmanager
def nodes(
    server: Bed, count: int, namespace: str = "held", keys: int = 200
) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Processes that hold keys of a namespace in memory."""
    env = os.environ | environment(server)
    command = [sys.executable, "-m", "bench.node", namespace, str(keys)]
    with ExitStack() as stack:
        started = []
        for _ in range(count):
            node = stack.enter_context(
                subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            )
            started.append(node)
        for node in started:
            say(node)
        try:
            yield started
        finally:
            for node in started:  # all at once, then each is waited for
                assert node.stdin is not None
                node.stdin.close()


def say(node: subprocess.Popen[bytes], text: str = "") -> None:
    """Tell a node something, if there is a text, and wait until it is ready."""
    assert node.stdout is not None
    assert node.stdin is not None
    if text:
        node.stdin.write(text.encode() + b"\n")
        node.stdin.flush()
    node.stdout.readline()


def environment(server: Bed) -> dict[str, str]:
    """The settings of a process that takes part."""
    return {
        f"{PREFIX}STATE": str(server.state),
        f"{PREFIX}BROKER_URL": server.url,
        f"{PREFIX}CACHE_URL": server.url,
    }


def until(holds: Callable[[], bool]) -> None:
    """Wait for a condition. Raises RuntimeError after a minute."""
    end = time.monotonic() + READY_S
    while not holds():
        if time.monotonic() > end:
            raise RuntimeError(f"not ready after {READY_S:g} s")
        time.sleep(0.05)  # between two looks
