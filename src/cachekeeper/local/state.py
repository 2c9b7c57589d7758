"""The state folder: where one deployment on this machine keeps everything it writes.

Whoever runs it holds a lock on ``up.lock`` and shows in ``up.json`` what runs where. The
lock is also held by the guardian, so it is free only once nothing of the deployment is
left. Clients and other commands read the table to find the servers.
"""

from __future__ import annotations

import dataclasses
import fcntl
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from cachekeeper.errors import CacheUnavailable, ConfigurationError
from cachekeeper.local.guardian import living

POLL_S = 0.05


class State:
    """The paths of a state folder, which is made private when first used."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.expanduser().absolute()
        self.server = self.folder / "server"  # one folder per engine and major version
        self.blobs = self.folder / "blobs"  # content by its SHA-256
        self.devices = self.folder / "devices"  # what each device holds
        self.library = self.folder / "library"  # the copy that `make run` plays with
        self.graph = self.folder / "graph"  # the dependency graph, mapped by all workers
        self.logs = self.folder / "logs"
        self.table = self.folder / "up.json"
        self.lock = self.folder / "up.lock"
        self.schedule = self.folder / "celerybeat-schedule"

    def create(self) -> None:
        """Make the folder and its subfolders, readable by their owner only.

        Raises:
            ConfigurationError: it can't be made or is not ours to write.
        """
        try:
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            private = (self.folder, self.server, self.blobs, self.devices, self.graph, self.logs)
            for folder in private:
                folder.mkdir(exist_ok=True)
                folder.chmod(0o700)
        except OSError as error:
            raise ConfigurationError(
                f"state: {self.folder} can't be used: {error.strerror}; choose another (--state)"
            ) from None

    def take(self) -> BinaryIO | None:
        """Take the lock of the running deployment; None if somebody holds it.

        It is held until the file returned is closed, here and wherever it was inherited.
        """
        lock = self.lock.open("ab")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            return None
        return lock

    def taken(self) -> bool:
        """Whether anything of a deployment is left on this state."""
        try:
            # Shared: two that ask at once don't mistake each other for a deployment.
            with self.lock.open("rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        return False


@dataclass(frozen=True)
class Row:
    """One line of the table: a process and how to reach it.

    ``began`` tells the process from a later one with its pid; both are None between two runs.
    """

    name: str
    pid: int | None
    began: str | None
    address: str
    what: str
    log: str
    restarts: int = 0


@dataclass(frozen=True)
class Running:
    """What runs on a state, and where.

    ``pid`` and ``began`` identify the supervisor; ``since`` is in seconds since the epoch;
    ``ready`` says that every service has answered; ``flower_url`` is None until Flower has.
    """

    pid: int
    began: str
    since: float
    ready: bool
    broker_url: str
    cache_url: str
    flower_url: str | None
    services: Sequence[Row]

    def write(self, state: State) -> None:
        """Publish the table in one step: a reader sees the old one or the new one."""
        new = state.table.with_suffix(".new")
        new.touch(mode=0o600)  # the URLs may hold passwords
        new.write_text(json.dumps(dataclasses.asdict(self), indent=1))
        new.replace(state.table)


def read_table(state: State) -> Running | None:
    """The last table that was published, whether its processes still run or not."""
    try:
        found = json.loads(state.table.read_text())
    except FileNotFoundError:
        return None
    return Running(**{**found, "services": [Row(**row) for row in found["services"]]})


def read_running(folder: Path) -> Running | None:
    """What runs on the state folder just now; None if nothing does."""
    state = State(folder)
    if not state.taken() or (running := read_table(state)) is None:
        return None
    supervisor = living().get(running.pid)
    return running if supervisor and supervisor.began == running.began else None


def wait_ready(folder: Path, timeout: float) -> Running:
    """Wait until everything on the state folder has answered.

    Raises:
        CacheUnavailable: it has not within ``timeout`` seconds.
    """
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        if (running := read_running(folder)) and running.ready:
            return running
        time.sleep(POLL_S)
    raise CacheUnavailable(f"nothing is ready in {folder} after {timeout:g} s")


def wait_gone(folder: Path, timeout: float) -> bool:
    """Wait until nothing is left on the state folder; False if ``timeout`` seconds pass first."""
    state, end = State(folder), time.monotonic() + timeout
    while state.taken():
        if time.monotonic() > end:
            return False
        time.sleep(POLL_S)
    return True
