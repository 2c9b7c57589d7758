"""The embedded server: one Redis or Valkey process per data folder, on this machine only.

It listens on loopback and on a Unix socket, appends every write to a file that is synced
once a second, and evicts nothing: it may hold the broker and the cache at once. Whoever
starts it on a folder first owns it; whoever comes later is given its URL. When the owner
is killed its guardian stops the server, which writes out its file first.
"""

from __future__ import annotations

import fcntl
import json
import os
import string
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import redis

from cachekeeper.errors import CacheUnavailable, ConfigurationError
from cachekeeper.local.engine import Engine, discover
from cachekeeper.local.guardian import Group, stop
from cachekeeper.local.network import HOST, free_port, socket_path
from cachekeeper.local.spawn import Guardian, spawn

#: Stops after the workers (lower stages), which hand back to it what they were doing.
SERVER_STAGE = 1
#: Seconds that a server may take to write out its file before it is killed.
GRACE_S = 3.0
#: Seconds to wait for an answer; reading a large file back takes its time.
START_S = 60.0
PORTS_TRIED = 5

# `dir` is the working directory, where the process is started.
_CONF = """\
# Written at every start.
bind {host}
port {port}
protected-mode yes
unixsocket {socket}
unixsocketperm 700
appendonly yes
appendfsync everysec
save ""
maxmemory-policy noeviction
daemonize no
pidfile ""
"""


_PLAIN = frozenset(f"{string.ascii_letters}{string.digits}/._-".encode())


class EmbeddedServer:
    """A server on the data in ``folder``, started or, if it runs already, attached to.

    ::

        with EmbeddedServer(tmp_path) as server:
            redis.Redis.from_url(server.url).ping()

    Args:
        folder: holds one data folder per engine and major version, ``valkey-9`` say.
        port: preferred TCP port on loopback; the next free one is taken if it is in use.
        engine: the program; None: the first found (see ``engine.discover``).
        guardian: watches over the server; None: one of its own.
        log: file that takes the server's log; None: ``server.log`` in the data folder.
    """

    def __init__(
        self,
        folder: Path,
        *,
        port: int = 6399,
        engine: Engine | None = None,
        guardian: Guardian | None = None,
        log: Path | None = None,
    ) -> None:
        self.engine = engine or discover()
        self.data = folder.resolve() / self.engine.folder
        self.log = log or self.data / "server.log"
        #: ``redis://127.0.0.1:PORT/0`` and the Unix socket, once started.
        self.url = ""
        self.socket = Path()
        #: The server's process id, ours or not.
        self.pid = 0
        #: Ours to stop; None when attached to somebody else's.
        self.process: subprocess.Popen[bytes] | None = None
        self.lock: BinaryIO | None = None
        self._port = port
        self._guardian = guardian or Guardian()
        self._own_guardian = guardian is None

    @property
    def argv(self) -> list[str]:
        """The command line; to be run in ``data`` with ``lock`` inherited."""
        return [str(self.engine.binary), "server.conf"]

    def start(self) -> None:
        """Start the server or attach to the one that runs on the folder.

        Raises:
            ConfigurationError: the program can't run on this folder; says why.
            CacheUnavailable: nothing answered within ``START_S``.
        """
        self.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        end = time.monotonic() + START_S
        while time.monotonic() < end:
            if self._take_lock():
                try:
                    return self._run(end)
                except BaseException:
                    self.stop()
                    raise
            if self._attach():
                return None
            time.sleep(0.05)  # the one that holds the lock is just starting, or just leaving
        raise CacheUnavailable(f"{self.data}: in use by a process that serves nothing")

    def stop(self) -> None:
        """Stop the server if it is ours; its data stays."""
        self._end_process()
        if self.lock is not None:
            self._address.unlink(missing_ok=True)
            self.lock.close()
            self.lock = None
            if self.socket.parent not in (self.data, Path()):
                with suppress(OSError):
                    self.socket.parent.rmdir()
        if self._own_guardian:
            self._guardian.close()

    @property
    def _address(self) -> Path:
        return self.data / "address.json"

    def _take_lock(self) -> bool:
        # The server inherits the descriptor: the folder is taken for as long as the server
        # lives, even if the one that started it does not.
        lock = (self.data / "lock").open("ab")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            return False
        self._address.unlink(missing_ok=True)
        self.lock = lock
        return True

    def _attach(self) -> bool:
        try:
            address = json.loads(self._address.read_text())
        except FileNotFoundError:
            return False
        if _answering(address["url"]) != address["pid"]:
            return False
        self.url, self.socket = address["url"], Path(address["socket"])
        self.pid = address["pid"]
        return True

    def _run(self, end: float) -> None:
        self.socket = socket_path(self.data, "server.sock")
        port = self._port
        for _ in range(PORTS_TRIED):
            port = free_port(port)
            self.url = f"redis://{HOST}:{port}/0"
            (self.data / "server.conf").write_text(
                _CONF.format(host=HOST, port=port, socket=quoted(self.socket))
            )
            if self._serves(end):
                address = {"url": self.url, "pid": self.pid, "socket": str(self.socket)}
                self._address.write_text(json.dumps(address))
                return
            port += 1  # somebody else bound it since we looked
        raise ConfigurationError(f"no port could be bound from {self._port} on")

    def _serves(self, end: float) -> bool:
        """Start the process; False if another one got the port."""
        assert self.lock is not None
        with self.log.open("ab") as log:
            begin = log.tell()
            self.process = spawn(
                self.argv,
                self._guardian,
                output=log,
                stage=SERVER_STAGE,
                grace=GRACE_S,
                cwd=self.data,
                keep=[self.lock.fileno()],
            )
        self.pid = self.process.pid
        while time.monotonic() < end:
            if self.process.poll() is not None:
                self._end_process()
                said = self.log.read_bytes()[begin:].decode(errors="replace")
                if "already in use" in said:
                    return False
                raise ConfigurationError(
                    f"{self.engine.binary} does not run in {self.data}:\n{said[-2000:].strip()}"
                )
            if (who := _answering(self.url)) == self.pid:
                return True
            if who is not None:
                self._end_process()
                return False
            time.sleep(0.01)
        raise CacheUnavailable(f"{self.url}: no answer within {START_S:g} s; see {self.log}")

    def _end_process(self) -> None:
        if self.process is None:
            return
        if self.process.poll() is None:  # its pid is its own until then
            stop([Group.of(self.process.pid, SERVER_STAGE, GRACE_S)])
            self.process.wait()
        self._guardian.remove(self.process.pid)
        self.process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def _answering(url: str) -> int | None:
    """The process id of the server that answers at ``url``; 0 if it won't say, None if none."""
    with redis.Redis.from_url(url, socket_timeout=1, socket_connect_timeout=1) as client:
        try:
            return int(client.info("server")["process_id"])
        except (redis.BusyLoadingError, redis.ConnectionError, redis.TimeoutError):
            return None
        except redis.RedisError:
            return 0


def quoted(path: Path) -> str:
    """A word of the server's configuration, whatever the bytes of the path."""
    hexed = (chr(byte) if byte in _PLAIN else f"\\x{byte:02x}" for byte in os.fsencode(path))
    return f'"{"".join(hexed)}"'
