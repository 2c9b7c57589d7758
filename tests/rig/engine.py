"""A stand-in for ``docker.DockerClient`` whose containers are local processes.

pytest-celery reaches a container engine through one fixture, ``docker_client``. Given a
``ProcessEngine`` there, its containers, nodes and clusters drive processes, unmodified.
Only what pytest-docker-tools and pytest-celery call is here. Like a container, a process
lives in a folder and a session of its own, and none outlives the tests, however they end
(see ``cachekeeper.local.guardian``).
"""

from __future__ import annotations

import os
import shlex
import shutil
import socket
import subprocess
import sys
import tarfile
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from signal import SIGCONT, SIGKILL, SIGSTOP, Signals
from types import SimpleNamespace
from typing import Any, BinaryIO, TypeAlias

from cachekeeper.local.engine import discover
from cachekeeper.local.guardian import Group, stop
from cachekeeper.local.network import HOST
from cachekeeper.local.spawn import Guardian, spawn
from tests.support import unused_port

#: A container's own idea of a volume: ``{"bind": "/app"}``.
Mount: TypeAlias = Mapping[str, str]
#: Characters of a container's id that are its host name.
SHORT = 12
RESTART_S = 10.0


class ProcessEngine:
    """Runs, builds and creates as the real one does; everything it keeps is below ``root``."""

    def __init__(self, root: Path) -> None:
        self.root, self.guardian = root, Guardian()
        self.folders: dict[str, Path] = {}  # of the volumes
        self.containers = SimpleNamespace(run=self._run, create=self._create)
        self.volumes = SimpleNamespace(create=self._volume)
        # What is installed here is the image, and loopback is the network.
        self.images = SimpleNamespace(build=_build)
        self.networks = SimpleNamespace(create=_network)

    def close(self) -> None:
        """End what is left."""
        self.guardian.close()

    def _create(self, **spec: Any) -> ProcessContainer:
        return ProcessContainer(self, **spec)

    def _run(self, **spec: Any) -> ProcessContainer:
        container = self._create(**spec)
        container.start()
        return container

    def _volume(self, name: str, **_: object) -> SimpleNamespace:
        folder = self.folders[name] = self.root / name
        folder.mkdir()
        return SimpleNamespace(name=name, remove=lambda _force: shutil.rmtree(folder))


class ProcessContainer:
    """What docker-py's ``Container`` is to its callers, over one process and its children."""

    def __init__(
        self,
        engine: ProcessEngine,
        *,
        image: str,
        command: Sequence[str | None] = (),
        environment: Mapping[str, str] | None = None,
        ports: Mapping[str, object] | None = None,
        network: str = "none",
        volumes: Mapping[str, Mount] | None = None,
        labels: Mapping[str, str] | None = None,
        **_: object,
    ) -> None:
        self.id = uuid.uuid4().hex
        self.name = f"{image.rpartition('/')[2].replace(':', '-')}-{self.id[:6]}"
        self.labels = dict(labels or {})
        self._guardian = engine.guardian
        self._folder = engine.root / self.id[:SHORT]
        self._folder.mkdir()
        self._mounts = {m["bind"]: engine.folders[name] for name, m in (volumes or {}).items()}
        self._ports = {port: unused_port() for port in ports or {}}
        self._env = {k: self._outside(str(v)) for k, v in (environment or {}).items()}
        self._argv = self._program([self._outside(word or "") for word in command])
        self._process: subprocess.Popen[bytes] | None = None
        self._group: Group | None = None  # of the process while it lives
        # Others reach a server by this name and port; a worker is told apart by its name.
        port = next(iter(self._ports.values()), None)
        self._host = f"{HOST}:{port}" if port else self.id[:SHORT]
        self._network = network

    @property
    def status(self) -> str:
        """``created``, ``running`` or ``exited``."""
        if self._process is None:
            return "created"
        if self._process.poll() is None:
            return "running"
        self._bury()
        return "exited"

    @property
    def attrs(self) -> dict[str, Any]:
        """What ``docker inspect`` would say, as far as anybody asks."""
        return {
            "Config": {
                "Hostname": self._host,
                "Labels": self.labels,
                "Env": [f"{name}={value}" for name, value in self._env.items()],
            },
            "HostConfig": {"PortBindings": self._ports},
            "NetworkSettings": {
                "Networks": {self._network: {"IPAddress": HOST}},
                "Ports": {port: [{"HostPort": str(here)}] for port, here in self._ports.items()},
            },
        }

    def start(self) -> None:
        """Start the process; its output goes on where a former one's ended."""
        env = {**os.environ, **self._env}
        with self._log.open("ab") as log:
            self._process = spawn(self._argv, self._guardian, output=log, env=env, cwd=self._cwd)
        self._group = Group.of(self._process.pid)

    def kill(self, signal: str | int | None = None) -> None:
        """Send the first process a signal; SIGKILL ends its children too, as it does there."""
        assert self._process is not None
        number = Signals[signal] if isinstance(signal, str) else Signals(signal or SIGKILL)
        self._process.send_signal(number)
        if number is SIGKILL:
            self.wait()

    def stop(self, timeout: float = RESTART_S) -> None:
        """SIGTERM to the first process, then SIGKILL to all that is left after ``timeout``."""
        if self._group:
            stop([replace(self._group, grace=timeout)])
            self.wait()

    @property
    def pid(self) -> int:
        """Of the first process."""
        assert self._process is not None
        return self._process.pid

    def pause(self) -> None:
        """Stop every process where it stands, as a frozen container is."""
        os.killpg(self.pid, SIGSTOP)

    def unpause(self) -> None:
        """Let them go on."""
        os.killpg(self.pid, SIGCONT)

    def restart(self, timeout: float = RESTART_S) -> None:
        """Stop and start, with the same folder, ports and log."""
        self.stop(timeout)
        self.start()

    def wait(self, timeout: float | None = None, **_: object) -> dict[str, int]:
        """Wait for the end."""
        assert self._process is not None
        code = self._process.wait(timeout)
        self._bury()
        return {"StatusCode": code if code >= 0 else 128 - code}

    def remove(self, **_: object) -> None:
        """End the process and forget its files."""
        self.stop(timeout=0)
        shutil.rmtree(self._folder)

    def reload(self) -> None:
        """Nothing to do: what is asked for is looked up."""

    def logs(self, **_: object) -> bytes:
        """Everything that the process and its children have said."""
        return self._log.read_bytes()

    def put_archive(self, path: str, data: BinaryIO) -> bool:
        """Unpack a tar file into a volume."""
        with tarfile.open(fileobj=data) as tar:
            if hasattr(tarfile, "data_filter"):  # from Python 3.11.4
                tar.extraction_filter = tarfile.data_filter
            tar.extractall(self._outside(path))  # the archive is pytest-celery's own
        return True

    def exec_run(self, command: str, **_: object) -> tuple[int, bytes]:
        """Run a program beside the process: (exit status, output)."""
        argv = shlex.split(command)
        if argv[:2] == ["cat", "/proc/net/tcp"]:  # which ports does it listen on?
            return 0, b"".join(map(_listening, self._ports.items()))
        assert self._process is not None
        env = {**os.environ, **self._env, "CONTAINER_SESSION": str(self._process.pid)}
        done = subprocess.run(
            self._program(argv), cwd=self._cwd, env=env, capture_output=True, check=False
        )
        return done.returncode, done.stdout

    @property
    def _log(self) -> Path:
        return self._folder / "log"

    @property
    def _cwd(self) -> Path:
        return self._mounts.get("/app", self._folder)

    def _bury(self) -> None:
        """Once the first process of a container has ended, so have the others."""
        assert self._process is not None
        if self._group:
            stop([replace(self._group, grace=0)])
            self._guardian.remove(self._process.pid)
            self._group = None

    def _outside(self, text: str) -> str:
        """A path inside the container as it is outside."""
        for bind, folder in self._mounts.items():
            if text == bind or text.startswith(f"{bind}/"):
                return f"{folder}{text.removeprefix(bind)}"
        return text

    def _program(self, argv: list[str]) -> list[str]:
        """The program of an image, as it is installed here."""
        program, *rest = argv or ["true"]
        if program == "redis-server":
            here = ["--bind", HOST, "--dir", str(self._folder)]
            return [str(discover().binary), *rest, *here, "--port", str(self._ports["6379/tcp"])]
        if program == "celery":
            rest = ["-m", "celery", *(word.replace("%h", self.id[:SHORT]) for word in rest)]
        return [sys.executable if program in {"celery", "python"} else program, *rest]


def _build(tag: str = "scratch", **_: object) -> tuple[SimpleNamespace, list[str]]:
    return SimpleNamespace(id=tag), []


def _network(name: str, **_: object) -> SimpleNamespace:
    return SimpleNamespace(name=name, remove=lambda: None)


def _listening(port: tuple[str, int]) -> bytes:
    """A line of /proc/net/tcp if something listens on a published port, by its inside number."""
    inside, outside = port
    with socket.socket() as probe:
        probe.settimeout(1)
        if probe.connect_ex((HOST, outside)) != 0:
            return b""
    return b"0: 00000000:%04X 0 0A\n" % int(inside.partition("/")[0])
