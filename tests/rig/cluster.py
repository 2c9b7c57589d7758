"""A deployment of real processes on the process engine: servers, workers and beats, each by name.

What ends is started again when ``tend`` is called, as a supervisor does; what hangs on a server
may reach it through a gate of its own, which can be cut, held up or slowed (``tests.rig.proxy``).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import redis

from cachekeeper.local.network import HOST
from tests.rig.engine import ProcessContainer, ProcessEngine
from tests.rig.proxy import Mode, Proxy
from tests.support import wait_until

ROOT: Final = Path(__file__).parents[2]
ANSWERS_S: Final = 20.0


class Server:
    """A Redis server that keeps what it holds, whatever becomes of its process."""

    def __init__(self, engine: ProcessEngine, name: str, proxy: Proxy | None = None) -> None:
        command = ["redis-server", "--appendonly", "yes", "--save", ""]
        port = {"6379/tcp": None}
        self.container: ProcessContainer = engine.containers.create(
            image=name, command=command, ports=port
        )
        bound = self.container.attrs["NetworkSettings"]["Ports"]["6379/tcp"][0]["HostPort"]
        self.port = int(bound)
        self.url = f"redis://{HOST}:{bound}/0"
        self.proxy = proxy or Proxy(self.port)

    def start(self) -> None:
        """Start, and wait until it answers."""
        self.container.start()
        self.await_answer()

    def restart(self) -> None:
        """Stop as an operator would, and start."""
        self.container.restart()
        self.await_answer()

    def kill(self) -> None:
        """``kill -9``; it stays away until ``start``."""
        self.container.kill()

    def client(self) -> Any:
        """A bare connection, past all gates."""
        return redis.Redis.from_url(self.url, socket_timeout=5, socket_connect_timeout=5)

    def gate(self, name: str) -> str:
        """The address of a new gate in front of it."""
        return f"redis://{HOST}:{self.proxy.add(name)}/0"

    def set_gate(self, name: str, mode: Mode, delay_s: float = 0.0) -> None:
        """Cut, hold up, slow or open a gate."""
        self.proxy.set(name, mode, delay_s)

    def await_answer(self) -> None:
        """Wait until it answers and has read its file."""

        def answers() -> bool:
            try:
                with self.client() as client:
                    return bool(client.ping())
            except redis.RedisError:
                return False

        wait_until(answers, ANSWERS_S)


class Cluster:
    """Servers and services; each has a folder and a log of its own below ``folder``."""

    def __init__(self, folder: Path) -> None:
        self._engine = ProcessEngine(folder)
        self._lock, self._stack = threading.Lock(), ExitStack()
        self.services: dict[str, ProcessContainer] = {}
        self.restarts: dict[str, int] = {}

    def server(self, name: str = "server") -> Server:
        """A new server, which answers, with a proxy in front of it."""
        server = Server(self._engine, name)
        self._stack.callback(server.container.remove)
        self._stack.enter_context(server.proxy)
        server.start()
        return server

    def add(self, name: str, argv: Sequence[str], env: Mapping[str, str]) -> ProcessContainer:
        """Start a service, and keep it running from now on."""
        paths = [*filter(None, [env.get("PYTHONPATH")]), str(ROOT / "src"), str(ROOT)]
        container: ProcessContainer = self._engine.containers.create(
            image=name,
            command=argv,
            environment={**env, "PYTHONPATH": os.pathsep.join(paths)},
        )
        container.start()
        with self._lock:
            self.services[name], self.restarts[name] = container, 0
        return container

    def remove(self, name: str) -> None:
        """End a service, and don't start it again."""
        with self._lock:
            container = self.services.pop(name)
        container.remove()

    def tend(self) -> list[str]:
        """Start what has ended, as a supervisor does; the names."""
        started = []
        with self._lock:
            for name, container in self.services.items():
                if container.status == "exited":
                    container.start()
                    self.restarts[name] += 1
                    started.append(name)
        return started

    def logs(self, name: str) -> str:
        """All that a service has said."""
        return str(self.services[name].logs().decode(errors="replace"))

    def __enter__(self) -> Self:
        self._stack.callback(self._engine.close)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._lock:
            services, self.services = list(self.services.values()), {}
        for container in services:
            container.remove()
        self._stack.close()
