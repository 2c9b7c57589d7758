"""The server under test: the embedded one, that is killed, emptied, rolled back and filled up."""

from __future__ import annotations

import shutil
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import redis

from cachekeeper.local.guardian import Group, stop
from cachekeeper.local.server import GRACE_S, SERVER_STAGE, EmbeddedServer
from cachekeeper.local.spawn import Guardian, spawn

READY_S = 20.0


class Server:
    """One server on one port, whatever becomes of its process."""

    def __init__(self, folder: Path, guardian: Guardian, port: int) -> None:
        self._embedded = EmbeddedServer(folder / "server", port=port, guardian=guardian)
        self._guardian, self._older = guardian, folder / "older"

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._embedded.url.rpartition(":")[2].partition("/")[0])

    @property
    def url(self) -> str:
        """How to reach it without a proxy."""
        return self._embedded.url

    def client(self) -> Any:
        """A bare connection."""
        return redis.Redis.from_url(self.url, socket_timeout=5, socket_connect_timeout=5)

    def kill(self) -> None:
        """``kill -9``."""
        process = self._embedded.process
        assert process is not None
        process.kill()
        process.wait()
        self._guardian.remove(process.pid)

    def signal(self, number: int) -> None:
        """Send it a signal."""
        assert self._embedded.process is not None
        self._embedded.process.send_signal(number)

    def start(self, *, aof: bool = True) -> None:
        """Start again on what its file says, or on nothing."""
        embedded = self._embedded
        assert embedded.lock is not None
        with embedded.log.open("ab") as log:
            embedded.process = spawn(
                [*embedded.argv, "--appendonly", "yes" if aof else "no"],
                self._guardian,
                output=log,
                stage=SERVER_STAGE,
                grace=GRACE_S,
                cwd=embedded.data,
                keep=[embedded.lock.fileno()],
            )
        embedded.pid = embedded.process.pid
        with self.client() as client:
            _await_answer(client)
            if not aof:
                client.config_set("appendonly", "yes")  # from here on there is a file again

    def copy(self) -> None:
        """Take a copy of the file as it is now."""
        shutil.rmtree(self._older, ignore_errors=True)
        with suppress(OSError, shutil.Error):  # a part of it was replaced while we were copying
            shutil.copytree(self._embedded.data / "appendonlydir", self._older)

    @property
    def has_copy(self) -> bool:
        """Whether the copy is whole: the server may have written its file anew meanwhile."""
        manifest = self._older / "appendonly.aof.manifest"
        named = manifest.read_text().splitlines() if manifest.exists() else []
        return bool(named) and all((self._older / line.split()[1]).exists() for line in named)

    def restore(self) -> None:
        """Start again on the copy, if it is whole; the server must have been killed."""
        if self.has_copy:
            file = self._embedded.data / "appendonlydir"
            shutil.rmtree(file)
            shutil.copytree(self._older, file)
        self.start()

    def fill_up(self) -> None:
        """Reach maxmemory: more is in use already than is allowed from here on."""
        with self.client() as client:
            client.config_set("maxmemory", client.info("memory")["used_memory"] * 9 // 10)

    def make_room(self) -> None:
        """The opposite."""
        with self.client() as client:
            client.config_set("maxmemory", 0)

    def __enter__(self) -> Self:
        self._embedded.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        process = self._embedded.process
        if process is not None and process.poll() is None:
            stop([Group.of(process.pid, SERVER_STAGE, GRACE_S)])
            process.wait()
        self._embedded.stop()


def _await_answer(client: Any) -> None:
    end = time.monotonic() + READY_S
    while True:
        try:
            client.ping()
            return
        except (redis.ConnectionError, redis.TimeoutError):
            if time.monotonic() > end:
                raise
            time.sleep(0.01)
