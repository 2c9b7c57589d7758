"""Where the cells are played: a server, the workers and the beat of ``up``, and a client."""

from __future__ import annotations

import json
import os
import signal
import struct
import subprocess
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import psutil
from celery import Celery

from cachekeeper.client.cache import Cache
from cachekeeper.local.services import application_services
from cachekeeper.local.state import State
from cachekeeper.settings import PREFIX, Settings, load
from tests.reliability import inside
from tests.rig.cluster import ROOT, Cluster
from tests.support import wait_until

WORKERS: Final = ("immediate", "general", "plan", "fetch")
READY_S: Final = 60.0
CONTROL_S: Final = 10.0
TEND_S: Final = 0.1
SMALL_DISK: Final = "96m"
SAID: Final = 20_000  # characters of a log
QUOTA: Final = 200_000
#: Deadlines and periods so short that recovery can be watched.
SETTINGS: Final[dict[str, Any]] = {
    "WORKER_SILENT_S": 4,
    "BATCH_DEADLINE_S": 6,
    "BATCH_RECOVERY_S": 1,
    "SCHEDULED_FLUSH_S": 1,
    "BACKGROUND_FLUSH_S": 1,
    "GRAPH_REFRESH_S": 1,
    "EXPIRY_SWEEP_S": 1,
    "LAZY_SWEEP_S": 1,
    "EVICTION_SWEEP_S": 1,
    "PREPARED_SWEEP_S": 2,
    "PENDING_CLEANUP_S": 3,
    "RECORD_TRIM_S": 3,
    "TTL_MIN_S": 1,
    "DEVICE_QUOTA": QUOTA,
    "DEVICE_HEADROOM": 0,
    "DISK_MIN_FREE": 0,
}


@dataclass(frozen=True, slots=True)
class Open:
    """The file descriptors of a process that lives on."""

    pid: int
    began: float
    count: int


class World:
    """Real processes; what ends is started again, unless the cell says otherwise."""

    def __init__(
        self, folder: Path, *, small_disk: bool = False, given: Mapping[str, Any] | None = None
    ) -> None:
        self.folder, self._small = folder, small_disk
        self._given = {**SETTINGS, **(given or {})}
        self.is_small = False  # the state lies on a file system of its own
        self.healed = 0.0  # when the cause of the last fault had gone, on the monotonic clock
        self._workers: dict[str, tuple[list[str], dict[str, str]]] = {}
        self._stack = ExitStack()
        self._stopping = threading.Event()

    # What the processes are.

    def pid(self, worker: str) -> int:
        """Of the main process of a worker."""
        return self.cluster.services[worker].pid

    def children(self, worker: str) -> list[psutil.Process]:
        """The pool of a worker."""
        with suppress(psutil.NoSuchProcess):
            return psutil.Process(self.pid(worker)).children()
        return []

    def await_ready(self, worker: str) -> None:
        """Wait until a worker has a pool and hears remote control."""
        wait_until(lambda: self.children(worker) and self.answers(worker), READY_S)

    def answers(self, worker: str) -> bool:
        """Whether a worker takes part."""
        said = self.cluster.logs(worker)
        starts = self.cluster.restarts[worker] + 1
        return said.count(" ready.") >= starts

    def said(self) -> str:
        """The last that each worker said."""
        return "\n".join(self.cluster.logs(worker)[-SAID:] for worker in WORKERS)

    def control(self, worker: str, command: str, **arguments: Any) -> None:
        """Remote control of one worker, which answers."""
        with Celery(broker=self.server.url, set_as_current=False) as app:
            replies = app.control.broadcast(
                command,
                arguments=arguments,
                destination=[f"{worker}@{os.uname().nodename}"],
                reply=True,
                timeout=CONTROL_S,
                limit=1,
            )
        assert replies, f"{worker} did not answer to {command}"
        (answer,) = (said for reply in replies for said in reply.values())
        assert "error" not in answer, answer

    def open_files(self) -> dict[str, Open]:
        """The descriptors of the main processes of the workers."""
        found = {}
        for worker in WORKERS:
            with suppress(psutil.Error):
                process = psutil.Process(self.pid(worker))
                found[worker] = Open(process.pid, process.create_time(), process.num_fds())
        return found

    def orphans(self) -> list[str]:
        """Processes of this deployment that belong to no service that runs."""
        sessions = {container.pid for container in self.cluster.services.values()}
        mine, found = str(self.folder), []
        for process in psutil.process_iter():
            with suppress(psutil.Error, ProcessLookupError):
                given = process.environ().get(inside.FOLDER, "")
                alive = process.status() != psutil.STATUS_ZOMBIE
                if given == mine and alive and os.getsid(process.pid) not in sessions:
                    found.append(f"{process.pid} {' '.join(process.cmdline())[:80]}")
        return found

    # What can be done to them.

    def signal(self, worker: str, number: int) -> None:
        """To the main process of a worker, alone."""
        os.kill(self.pid(worker), number)

    @contextmanager
    def inside(
        self, what: str, tasks: Sequence[str], *, times: int = 1, seconds: float = 0
    ) -> Iterator[None]:
        """What befalls the next of some tasks, inside of it."""
        plan = {
            "what": what,
            "tasks": list(tasks),
            "times": times,
            "seconds": seconds,
            "name": uuid.uuid4().hex,
        }
        path = self.folder / inside.PLAN
        temporary = path.with_suffix(".new")
        temporary.write_text(json.dumps(plan))
        temporary.replace(path)
        self._befalls = plan["name"], times
        try:
            yield
        finally:
            path.unlink()

    def befell(self) -> bool:
        """Whether what was planned has happened, each time."""
        name, times = self._befalls
        return all((self.folder / f"{name}.{i}").exists() for i in range(times))

    def heal(self) -> None:
        """The cause of the fault has gone: recovery is counted from here."""
        self.healed = time.monotonic()

    def jump(self, seconds: float) -> None:
        """Set the wall clock of the workers off."""
        with (self.folder / "clock").open("r+b") as file:
            file.write(struct.pack("d", seconds))

    def add_worker(self, name: str, like: str) -> None:
        """One more that does what another does; ready when this returns."""
        argv, env = self._workers[like]
        again = [f"{name}@%h" if word == f"{like}@%h" else word for word in argv]
        self.cluster.add(name, again, env)
        self.await_ready(name)

    def add_beat(self) -> None:
        """One more, with a schedule of its own."""
        self.cluster.add("beat-2", self._beat_again, self._env)

    # Its beginning and end.

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._prepare(stack)
            self.cluster = stack.enter_context(Cluster(self.folder / "processes"))
            self.server = self.cluster.server()
            self._start()
            self.cache = stack.enter_context(Cache(self.settings))
            tending = threading.Thread(target=self._tend, name="tending", daemon=True)
            tending.start()
            stack.callback(tending.join)
            stack.callback(self._stopping.set)
            for worker in WORKERS:
                self.await_ready(worker)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    @property
    def settings(self) -> Settings:
        """Of the client, which reaches the server past all gates."""
        return self._settings(self.server.url)

    def _settings(self, url: str) -> Settings:
        given = {name.lower(): value for name, value in self._given.items()}
        where = {"state": self.folder / "state", "origin": self.folder / "origin"}
        return load(cache_url=url, broker_url=url, **where, **given)

    def _prepare(self, stack: ExitStack) -> None:
        for name in ("processes", "origin", "state", "tmp"):
            (self.folder / name).mkdir(parents=True)
        (self.folder / "clock").write_bytes(struct.pack("d", 0.0))
        if self._small and os.geteuid() == 0:
            where = str(self.folder / "state")
            mount = ["mount", "-t", "tmpfs", "-o", f"size={SMALL_DISK}", "none", where]
            if subprocess.run(mount, capture_output=True, check=False).returncode == 0:
                self.is_small = True
                stack.callback(subprocess.run, ["umount", "-l", where], check=False)

    def _start(self) -> None:
        state = State(self.folder / "state")
        state.create()
        found = {s.name: s for s in application_services(ROOT, state, self.settings, {})}
        self._env = self._environment(self.server.url)
        for worker in WORKERS:
            env = self._environment(self.server.gate(worker))
            argv = [w.replace("workers.app", inside.APPLICATION) for w in found[worker].argv]
            self._workers[worker] = argv, {**env, **found[worker].env}
            self.cluster.add(worker, *self._workers[worker])
        beat = found["beat"].argv
        self.cluster.add("beat", beat, self._env)
        self._beat_again = [f"{w}-2" if w == str(state.schedule) else w for w in beat]

    def _environment(self, url: str) -> dict[str, str]:
        where = {"STATE": self.folder / "state", "ORIGIN": self.folder / "origin"}
        ours = {**self._given, **where, "BROKER_URL": url, "CACHE_URL": url}
        return {
            **{PREFIX + name: str(value) for name, value in ours.items()},
            "TMPDIR": str(self.folder / "tmp"),
            inside.FOLDER: str(self.folder),
            "RELIABILITY_CLOCK": str(self.folder / "clock"),
            "PYTHONPATH": str(Path(__file__).parent / "clock"),
        }

    def _tend(self) -> None:
        while not self._stopping.wait(TEND_S):
            self.cluster.tend()


def gone(pid: int) -> bool:
    """Whether a process has ended."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def away(world: World, worker: str, number: signal.Signals) -> None:
    """Signal a worker's main process, and wait until it has ended and another is ready."""
    before = world.pid(worker)
    world.signal(worker, number)
    world.heal()  # what follows is recovery
    wait_until(lambda: world.pid(worker) != before, READY_S)
    world.await_ready(worker)
