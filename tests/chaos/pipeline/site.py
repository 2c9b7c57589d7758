"""Everything that takes part: a server, the workers, two beats, producers; what dies comes back."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from cachekeeper.local.guardian import Group, stop
from cachekeeper.local.services import Service, application_root, application_services
from cachekeeper.local.spawn import Guardian, spawn
from cachekeeper.local.state import State
from cachekeeper.settings import PREFIX, Settings, load
from tests.chaos.coherence.server import Server
from tests.support import unused_port

PRODUCERS: Final = 3
WORKERS: Final = ("immediate", "general")
BEATS: Final = ("beat", "beat-2")
GRACE_S: Final = 1.0
#: Deadlines and periods so short that recovery can be watched.
SETTINGS: Final = {
    "WORKER_SILENT_S": 4,
    "BATCH_DEADLINE_S": 8,
    "BATCH_RECOVERY_S": 1,
    "SCHEDULED_FLUSH_S": 1,
    "BACKGROUND_FLUSH_S": 1,
    "BACKGROUND_BATCH": 200,
    "LAZY_SWEEP_S": 2,
    "EXPIRY_SWEEP_S": 2,
    "PENDING_CLEANUP_S": 3,
    "RECORD_TRIM_S": 3,
}


@dataclass(frozen=True, slots=True)
class Plan:
    """The size of a run."""

    requests: int = 20_000
    aof: str = "everysec"
    seed: int = 1
    #: Between two requests of a producer, on average; with less, a backlog hides the recovery.
    pause_s: float = 0.04


class Site:
    """Starts everything, starts again what has died when ``tend`` is called, and ends it."""

    def __init__(self, folder: Path, plan: Plan) -> None:
        self.folder, self.plan = folder, plan
        self.history = folder / "history"
        self._services: dict[str, Service] = {}
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._producers: list[subprocess.Popen[bytes]] = []
        self._lock = threading.Lock()
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self.history.mkdir(parents=True)
            self._guardian = stack.enter_context(Guardian())
            self._log = stack.enter_context((self.folder / "processes.log").open("ab"))
            self.server = stack.enter_context(Server(self.folder, self._guardian, unused_port()))
            self.server_is_up()
            self._env = self._environment()
            stack.callback(self._end)
            for service in self._wanted():
                self._services[service.name] = service
                self._start(service)
            self._start_producers()
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
        """Those that all processes have."""
        given = {name.lower(): value for name, value in SETTINGS.items()}
        url = self.server.url
        return load(state=self.folder / "state", cache_url=url, broker_url=url, **given)

    @property
    def sending(self) -> bool:
        """Whether a producer still asks."""
        for producer in self._producers:
            if producer.poll() not in (None, 0):
                raise RuntimeError(f"a producer failed:\n{self._traceback()}")
        return any(producer.poll() is None for producer in self._producers)

    def said(self) -> str:
        """The last that any process said."""
        return self._all_said()[-3000:]

    def _traceback(self) -> str:
        """The last one of a producer."""
        before, _, after = self._all_said().rpartition("tests/chaos/pipeline/producer.py")
        return before[-1500:] + after[:3000]

    def _all_said(self) -> str:
        return (self.folder / "processes.log").read_text(errors="replace")

    def pid(self, name: str) -> int:
        """Of a service."""
        return self._running[name].pid

    def tend(self) -> None:
        """Start what has ended, as a supervisor does."""
        with self._lock:
            for name, process in list(self._running.items()):
                if process.poll() is not None:
                    self._guardian.remove(process.pid)
                    self._start(self._services[name])

    def server_is_up(self) -> None:
        """Have it write its file as planned."""
        with self.redis() as client:
            client.config_set("appendfsync", self.plan.aof)

    def redis(self) -> Any:
        """A bare connection to the server."""
        return self.server.client()

    def _wanted(self) -> list[Service]:
        root, state = application_root(), State(self.folder / "state")
        assert root is not None
        state.create()
        found = {s.name: s for s in application_services(root, state, self.settings, {})}
        again = [
            f"{word}-2" if word == str(state.schedule) else word for word in found["beat"].argv
        ]
        second = replace(found["beat"], name="beat-2", argv=again)
        return [*(found[name] for name in WORKERS), found["beat"], second]

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
        url = self.server.url
        here = {"STATE": self.folder / "state", "BROKER_URL": url, "CACHE_URL": url}
        ours = {PREFIX + name: str(value) for name, value in {**SETTINGS, **here}.items()}
        temporary = self.folder / "tmp"  # what a killed process leaves goes with the folder
        temporary.mkdir()
        return {**kept, **ours, "TMPDIR": str(temporary)}

    def _start(self, service: Service) -> None:
        self._running[service.name] = self._spawn(service.argv, service.env, service.nice)

    def _start_producers(self) -> None:
        plan = self.plan
        each = -(-plan.requests // PRODUCERS)
        module = [sys.executable, "-m", "tests.chaos.pipeline.producer", str(self.history)]
        for i in range(PRODUCERS):
            rest = [f"p{i}", str(plan.seed), str(each), str(plan.pause_s)]
            self._producers.append(self._spawn([*module, *rest]))

    def _spawn(
        self, argv: Sequence[str], env: Mapping[str, str] | None = None, nice: int = 0
    ) -> subprocess.Popen[bytes]:
        return spawn(
            argv,
            self._guardian,
            output=self._log,
            env={**self._env, **(env or {})},
            cwd=application_root(),
            grace=GRACE_S,
            nice=nice,
        )

    def _end(self) -> None:
        with self._lock:
            ending = [*self._running.values(), *self._producers]
            stop([Group.of(process.pid, grace=GRACE_S) for process in ending])
            for process in ending:
                process.wait()
                self._guardian.remove(process.pid)
