"""``cachekeeper up`` as its user starts it, on a folder and ports of its own, and two clients."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import redis

from cachekeeper.client.cache import Cache
from cachekeeper.client.devices import open_devices
from cachekeeper.local.services import application_root
from cachekeeper.local.spawn import Guardian, spawn
from cachekeeper.local.state import Running, read_running, wait_gone, wait_ready
from cachekeeper.settings import PREFIX, Settings, load
from tests.rig.proxy import Proxy
from tests.soak import world
from tests.support import unused_port, wait_until

READY_S: Final = 60.0
GRACE_S: Final = 20.0
CLIENTS: Final = ("editor", "reader")
#: Flower grows until it knows as many tasks as it may: here it does while it warms up.
FLOWER_TASKS: Final = 300
#: Short periods, so that what piles up and what is swept comes to rest within minutes.
SETTINGS: Final = {
    "RECORD_S": 30,
    "SCHEDULED_FLUSH_S": 5,
    "BACKGROUND_FLUSH_S": 5,
    "BATCH_DEADLINE_S": 10,
    "BATCH_RECOVERY_S": 5,
    "WORKER_SILENT_S": 6,
    "GRAPH_REFRESH_S": 15,
    "EXPIRY_SWEEP_S": 5,
    "LAZY_SWEEP_S": 5,
    "EVICTION_SWEEP_S": 5,
    "PENDING_CLEANUP_S": 10,
    "RECORD_TRIM_S": 3,
    "HEARTBEAT_S": 5,
    "TTL_MIN_S": 1,
    "MEMORY_BYTES": 4 * 1024 * 1024,
    "DEVICE_QUOTA": 2 * 1024 * 1024,
    "DISK_MIN_FREE": 0,
}


class Stack:
    """Everything of a run; what is started here is ended here."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.seed = folder, seed
        self.state, self.library = folder / "state", folder / "library"
        self.clients: dict[str, subprocess.Popen[bytes]] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for number in range(world.FILES):
                world.write(self.library, number, 0)
            world.Floors(self.folder / "floors")
            ports = ("SERVER_PORT", "FLOWER_PORT", "DEVICE_PORT")
            self._env = {
                **{name: value for name, value in os.environ.items() if PREFIX not in name},
                **{PREFIX + name: str(value) for name, value in SETTINGS.items()},
                **{PREFIX + name: str(unused_port()) for name in ports},
                "FLOWER_MAX_TASKS": str(FLOWER_TASKS),
                f"{PREFIX}STATE": str(self.state),
                f"{PREFIX}ORIGIN": str(self.library),
                "TMPDIR": str(self.folder),  # what a killed process leaves goes with the folder
            }
            self._guardian = stack.enter_context(Guardian())
            self._log = stack.enter_context((self.folder / "output").open("ab"))
            self._up = self._spawn([str(Path(sys.executable).with_name("cachekeeper")), "up"])
            stack.callback(self._end)
            wait_ready(self.state, READY_S)
            self.proxy = stack.enter_context(Proxy(int(self._env[f"{PREFIX}SERVER_PORT"])))
            self._token = self._enrol()
            for name in CLIENTS:
                self._start(name)
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
    def pid(self) -> int:
        """Of ``up``."""
        return self._up.pid

    @property
    def running(self) -> Running | None:
        """What ``up`` says that it runs."""
        return read_running(self.state)

    @property
    def url(self) -> str:
        """Of the server, without a detour."""
        return f"redis://127.0.0.1:{self._env[f'{PREFIX}SERVER_PORT']}/0"

    @property
    def settings(self) -> Settings:
        """As of the deployment."""
        given: dict[str, Any] = {name.lower(): value for name, value in SETTINGS.items()}
        urls = {"cache_url": self.url, "broker_url": self.url}
        return load(**given, **urls, state=self.state, origin=self.library)

    def redis(self) -> redis.Redis:
        """A bare connection to the server, to be closed."""
        return redis.Redis.from_url(self.url, socket_timeout=5)

    def pid_of(self, service: str) -> int | None:
        """Of a service, None while it does not run."""
        rows = running.services if (running := self.running) else ()
        return next((row.pid for row in rows if row.name == service), None)

    def stop_clients(self) -> list[str]:
        """End the load; returns what went wrong with that."""
        wrong = []
        for name, process in self.clients.items():
            if process.poll() is not None:
                wrong.append(f"client {name} ended by itself with status {process.returncode}")
            process.terminate()
        for name, process in self.clients.items():
            try:
                status = process.wait(GRACE_S)
            except subprocess.TimeoutExpired:
                wrong.append(f"client {name} does not end")
                process.kill()
                process.wait()
            else:
                if status:
                    wrong.append(f"client {name}: exit status {status}")
            self._guardian.remove(process.pid)
        self.clients.clear()
        return wrong

    def stop(self) -> list[str]:
        """Tell ``up`` to stop; returns what went wrong with that."""
        self._up.terminate()
        try:
            status = self._up.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            return [f"up does not end within {GRACE_S:g} s"]
        gone = wait_gone(self.state, GRACE_S)
        wrong = [] if gone else ["something holds the state folder"]
        return wrong + ([f"up ended with status {status}"] if status else [])

    def _enrol(self) -> str:
        with Cache(self.settings.model_copy(update={"memory_bytes": 0})) as cache:
            return open_devices(cache).enrolment.add(world.DEVICES[2])

    def _start(self, name: str) -> None:
        url = f"redis://127.0.0.1:{self.proxy.add(name)}/0"
        env = {
            f"{PREFIX}CACHE_URL": url,
            f"{PREFIX}BROKER_URL": url,
            "SOAK_TOKEN": self._token,
            "SOAK_ENDPOINT": f"http://127.0.0.1:{self._env[f'{PREFIX}DEVICE_PORT']}",
        }
        argv = [sys.executable, "-m", "tests.soak.client", str(self.folder), name, str(self.seed)]
        self.clients[name] = self._spawn(argv, env)
        wait_until((self.folder / f"{name}.notes").exists, READY_S)

    def _spawn(
        self, argv: Sequence[str], env: dict[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        return spawn(
            argv,
            self._guardian,
            output=self._log,
            env={**self._env, **(env or {})},
            cwd=application_root(),
            grace=GRACE_S,
        )

    def _end(self) -> None:
        self.stop_clients()
        if self._up.poll() is None:
            self.stop()
        if self._up.poll() is None:
            self._up.kill()
        self._up.wait()
        self._guardian.remove(self._up.pid)
        wait_gone(self.state, GRACE_S)

    def wait(self, seconds: float) -> None:
        """Let it run; an end of ``up`` or of a client ends the run."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            for process in (self._up, *self.clients.values()):
                if process.poll() is not None:
                    said = (self.folder / "output").read_text(errors="replace")[-3000:]
                    raise RuntimeError(f"{process.args!r} ended: {process.returncode}\n{said}")
            time.sleep(min(left, 0.1))
