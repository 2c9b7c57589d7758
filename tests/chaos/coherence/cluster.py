"""Everything that takes part: the server, a broker, the proxy, members, writers, a worker."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from cachekeeper.local.guardian import Group, stop
from cachekeeper.local.server import EmbeddedServer
from cachekeeper.local.services import application_root
from cachekeeper.local.spawn import Guardian, spawn
from cachekeeper.names import QUEUES
from cachekeeper.settings import PREFIX
from tests.chaos.coherence.history import ASYNC, Answered, Fault
from tests.chaos.coherence.process import BROKEN
from tests.chaos.coherence.removed import VARIABLE
from tests.chaos.coherence.server import Server
from tests.chaos.coherence.world import CALM, REDIS_VALUE_BYTES, SOURCES
from tests.integration.processes import family
from tests.rig.proxy import HOST, Mode, Proxy
from tests.support import unused_port

LEASE_S: Final = 0.6
ACK_TIMEOUT_S: Final = 0.3
DRIFT_S: Final = 0.2
#: The sources of the writers that go through the queue; the others share the rest.
QUEUED: Final = {
    "q": ("client", (8, 9, *list(CALM)[:2])),
    "r": ("async client", (10, 11, *list(CALM)[2:4])),
}
WRITERS: Final = 2
#: What beat rings for, much more often than it would.
PERIODS: Final = {
    "SCHEDULED_FLUSH_S": 0.4,
    "BACKGROUND_FLUSH_S": 0.4,
    "LAZY_SWEEP_S": 2,
    "EXPIRY_SWEEP_S": 2,
    "EVICTION_SWEEP_S": 5,
    "GRAPH_REFRESH_S": 5,
    "BATCH_RECOVERY_S": 0.5,
    "PENDING_CLEANUP_S": 5,
    "RECORD_TRIM_S": 5,
}
#: A claimed batch whose worker was killed comes back after this.
BATCH_DEADLINE_S: Final = 2.5
STARTED_S: Final = 40.0
#: How long one may take to end: the history is written already, and nobody needs its work.
GRACE_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Plan:
    """The size of a run."""

    members: int = 4
    seed: int = 1
    read_pause_s: float = 0.004
    write_pause_s: float = 0.08
    queue: bool = True  # whether there are a broker, a worker and a writer that uses them
    ablation: str = ""


@dataclass
class Actor:
    """One process, that is started again when it has died."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str]
    process: subprocess.Popen[bytes] | None = None
    born: int = 0

    @property
    def pid(self) -> int:
        """Of the process that runs now."""
        assert self.process is not None
        return self.process.pid

    def signal(self, number: int) -> None:
        """Send it a signal, if it lives."""
        if self.process is not None:
            self.process.send_signal(number)


class Cluster:
    """Starts everything, keeps it alive, and ends it."""

    def __init__(self, folder: Path, plan: Plan) -> None:
        self.folder, self.plan = folder, plan
        self.history = folder / "history"
        self.faults: list[Fault] = []
        self.members: list[Actor] = []
        self.writers: list[Actor] = []
        self.worker: Actor | None = None
        self.beat: Actor | None = None
        self._stack = ExitStack()
        self._ending = threading.Event()
        self._lock, self._counting = threading.Lock(), threading.Lock()
        self._answered = Answered(self.history)

    @property
    def server(self) -> Server:
        """The server under test."""
        return self._server

    def gate(self, actor: Actor, mode: Mode, delay_s: float = 0.0) -> None:
        """Cut an actor off, or let it through again."""
        self._proxy.set(actor.name, mode, delay_s)

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self.history.mkdir(parents=True)
            self._guardian = stack.enter_context(Guardian(self.folder / "guardian.log"))
            self._log = stack.enter_context((self.folder / "processes.log").open("ab"))
            self._server = stack.enter_context(Server(self.folder, self._guardian, unused_port()))
            self._proxy = stack.enter_context(Proxy(self._server.port))
            broker_url = self._server.url
            if self.plan.queue:
                folder = self.folder / "broker"
                broker = EmbeddedServer(folder, port=unused_port(), guardian=self._guardian)
                broker_url = stack.enter_context(broker).url
            self._common = self._environment(broker_url)
            stack.callback(self._end_actors)
            self._start_actors()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def tend(self) -> None:
        """Replace what has died."""
        with self._lock:
            for actor in self.actors:
                if not self._ending.is_set() and actor.process and actor.process.poll() is not None:
                    if actor.process.returncode == BROKEN:
                        raise RuntimeError(f"{actor.name} is broken:\n{self._said()}")
                    self._guardian.remove(actor.pid)
                    self._start(actor)

    @property
    def actors(self) -> list[Actor]:
        """All processes but the servers."""
        workers = [actor for actor in (self.worker, self.beat) if actor]
        return [*self.members, *self.writers, *workers]

    @property
    def forking(self) -> list[Actor]:
        """The members that fork when they are told to."""
        return [member for member in self.members if not member.name.startswith(ASYNC)]

    def children_of_worker(self) -> list[int]:
        """The processes of the worker's pool."""
        if self.worker is None:
            return []
        with suppress(Exception):  # it may be gone
            return [process.pid for process in family(self.worker.pid)]
        return []

    def await_all(self) -> None:
        """Wait until every member has read something and every writer has invalidated."""
        end = time.monotonic() + STARTED_S
        while time.monotonic() < end:
            reading = [any(self._sizes(member, ".reads")) for member in self.members]
            writing = [len(self._done(writer)) >= 2 for writer in self.writers]
            if all(reading) and all(writing):
                return
            self.tend()
            time.sleep(0.05)  # between two looks
        raise TimeoutError(f"not everything runs after {STARTED_S:g} s:\n{self._said()}")

    def _said(self) -> str:
        return (self.folder / "processes.log").read_text(errors="replace")[-3000:]

    def reads(self) -> int:
        """How many reads have been logged by now that count."""
        with self._counting:
            return self._answered.count()

    def _sizes(self, actor: Actor, kind: str) -> list[int]:
        return [path.stat().st_size for path in self.history.glob(f"{actor.name}.*{kind}")]

    def _done(self, actor: Actor) -> list[str]:
        lines = (p.read_text().splitlines() for p in self.history.glob(f"{actor.name}.*.writes"))
        return [line for line in chain.from_iterable(lines) if '"done"' in line]

    def _environment(self, broker_url: str) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
        ours = {
            "STATE": self.folder / "state",
            "BROKER_URL": broker_url,
            "LEASE_S": LEASE_S,
            "ACK_TIMEOUT_S": ACK_TIMEOUT_S,
            "LEASE_DRIFT_S": DRIFT_S,
            "REDIS_VALUE_BYTES": REDIS_VALUE_BYTES,
            "TTL_MIN_S": 1,
            "EARLY_REFRESH_BETA": 1,
            "BATCH_DEADLINE_S": BATCH_DEADLINE_S,
            **PERIODS,
        }
        settings = {PREFIX + name: str(value) for name, value in ours.items()}
        ablation = {VARIABLE: self.plan.ablation} if self.plan.ablation else {}
        temporary = self.folder / "tmp"  # what a killed process leaves goes with the folder
        temporary.mkdir()
        more = {"REMAP_SIGTERM": "SIGQUIT", "TMPDIR": str(temporary)}
        return {**kept, **settings, **ablation, **more}

    def _start_actors(self) -> None:
        plan = self.plan
        (self.history / "register").write_bytes(bytes(4 * SOURCES))
        for i in range(plan.members - 1):
            self.members.append(self._actor(f"m{i}", "member", str(plan.read_pause_s), gated=True))
        name = f"{ASYNC}{plan.members - 1}"
        self.members.append(self._actor(name, "async_member", str(plan.read_pause_s), gated=True))
        taken = {source for _, mine in QUEUED.values() for source in mine} if plan.queue else set()
        rest = [source for source in range(SOURCES) if source not in taken]
        for i in range(WRITERS):
            self.writers.append(self._writer(f"w{i}", "service", rest[i::WRITERS]))
        if plan.queue:
            for name, (kind, mine) in QUEUED.items():
                self.writers.append(self._writer(name, kind, mine))
            queues = ["-Q", ",".join(QUEUES), "-c", "3", "-n", "chaos@%h"]
            self.worker = self._celery("worker", *queues)
            self.beat = self._celery("beat", "-s", str(self.folder / "beat"), "--pidfile=")
        for actor in self.actors:
            self._start(actor)

    def _writer(self, name: str, kind: str, sources: Sequence[int]) -> Actor:
        mine = ",".join(map(str, sources))
        return self._actor(name, "writer", str(self.plan.write_pause_s), kind, mine)

    def _celery(self, name: str, *options: str) -> Actor:
        argv = [sys.executable, "-m", "celery", "-A", "tests.chaos.coherence.worker", name]
        return Actor(name, [*argv, *options, "-l", "WARNING"], self._gated(name))

    def _actor(self, name: str, module: str, *rest: str, gated: bool = False) -> Actor:
        argv = [sys.executable, "-m", f"tests.chaos.coherence.{module}", str(self.history), "NAME"]
        url = {PREFIX + "CACHE_URL": self._server.url}
        env = self._gated(name) if gated else {**self._common, **url}
        return Actor(name, [*argv, "SEED", *rest], env)

    def _gated(self, name: str) -> dict[str, str]:
        url = f"redis://{HOST}:{self._proxy.add(name)}/0"
        return {**self._common, PREFIX + "CACHE_URL": url}

    def _start(self, actor: Actor) -> None:
        actor.born += 1
        seed = str(self.plan.seed * 1000 + actor.born)
        # A replaced process writes files of its own.
        fresh = {"SEED": seed, "NAME": f"{actor.name}.{actor.born}"}
        argv = [fresh.get(word, word) for word in actor.argv]
        actor.process = spawn(
            argv,
            self._guardian,
            output=self._log,
            env=actor.env,
            cwd=application_root(),
            grace=GRACE_S,
        )

    def _end_actors(self) -> None:
        self._ending.set()
        with self._lock:
            living = [actor for actor in self.actors if actor.process]
            for actor in living:
                actor.signal(signal.SIGCONT)
            stop([Group.of(actor.pid, grace=GRACE_S) for actor in living])
            for actor in living:
                assert actor.process is not None
                actor.process.wait()
                self._guardian.remove(actor.pid)

    def redis(self) -> Any:
        """A bare connection to the server."""
        return self._server.client()
