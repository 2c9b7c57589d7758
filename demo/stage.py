"""What the morning is played on: the copied library, `cachekeeper up`, the reader processes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from cachekeeper import Cache
from cachekeeper.errors import CacheUnavailable, ConfigurationError
from cachekeeper.local.spawn import Guardian, spawn
from cachekeeper.local.state import POLL_S, Running, State, read_running
from cachekeeper.settings import CONFIG, PREFIX, load
from demo import copying, readers, sample

SETTINGS = Path(__file__).with_name("settings.toml")
QUOTA_SHARE = 0.2  # of the library, for each device
READY_S = 60.0
STOP_S = 30.0
UP_GRACE_S = 20.0
NAMESPACES = ("file", "folder", "thumb", "album", "sitting")
DEVICES = (("phone", "tv"), ("tablet", "laptop"))  # by reader process


@dataclass(frozen=True)
class Options:
    """Where things are, and how a reader is started."""

    state: Path
    library: Path | None = None
    reader: Sequence[str] = readers.COMMAND
    servers: Mapping[str, str] = field(default_factory=dict)  # given ones, as environment


class Stage:
    """Set up by ``with``, torn down at its end: no process and no port is left."""

    def __init__(self, options: Options) -> None:
        self.options, self.state = options, State(options.state)
        self.library = self.state.library
        self.copied: copying.Copied
        self.running: Running
        self.cache: Cache
        self.readers: list[readers.ReaderProcess] = []
        self._open = ExitStack()

    @property
    def quota(self) -> int:
        """Bytes that each device may hold."""
        return int(self.copied.bytes * QUOTA_SHARE)

    @property
    def settings(self) -> dict[str, Any]:
        """What differs from the defaults, for people to see."""
        return tomllib.loads(SETTINGS.read_text()) | {"device_quota": self.quota}

    def __enter__(self) -> Self:
        try:
            self._copy()
            self._start()
        except BaseException:
            self._open.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open.close()

    def paths(self) -> list[str]:
        """The files of the copied library now, relative to it."""
        found = (path for path in self.library.rglob("*") if path.is_file())
        relative = (path.relative_to(self.library).as_posix() for path in found)
        return sorted(p for p in relative if not any(x.startswith(".") for x in p.split("/")))

    def when_up_ends(self, call: Callable[[], None]) -> None:
        """Call when `up` is gone, as after `cachekeeper stop` in another terminal."""

        def wait() -> None:
            self._up.wait()
            call()

        threading.Thread(target=wait, daemon=True).start()

    def begin(self) -> None:
        """Start the reader processes."""
        paths = self.paths()
        log = self._open.enter_context((self.state.logs / "readers.log").open("ab"))
        for devices in DEVICES:
            reader = readers.ReaderProcess(
                devices, paths, env=self._environment(), log=log, command=self.options.reader
            )
            self._open.callback(reader.close)
            self.readers.append(reader)
        for reader in self.readers:
            reader.wait_ready()

    def _copy(self) -> None:
        """A fresh copy: what a run before has edited is no library any more."""
        source = self.options.library
        if source is not None:
            source = copying.check_apart(source, self.state.folder)
        self.state.create()
        if read_running(self.options.state):
            raise ConfigurationError(f"{self.options.state}: Cachekeeper runs on it already")
        shutil.rmtree(self.library, ignore_errors=True)
        self.library.mkdir()
        if source is None:
            sample.make(self.library)
            sizes = [path.stat().st_size for path in self.library.rglob("*") if path.is_file()]
            self.copied = copying.Copied(len(sizes), sum(sizes), {})
        else:
            self.copied = copying.copy(source, self.library)

    def _start(self) -> None:
        guardian = self._open.enter_context(Guardian())
        log = self._open.enter_context((self.state.logs / "up.log").open("ab"))
        command = [str(Path(sys.executable).with_name("cachekeeper")), "up"]
        self._up = spawn(command, guardian, output=log, grace=UP_GRACE_S, env=self._environment())
        self._open.callback(_stop, self._up, guardian)
        self.running = self._ready()
        environment = {k: v for k, v in self._environment().items() if k.startswith(PREFIX)}
        os.environ.update(environment)
        self.cache = self._open.enter_context(Cache(load(memory_bytes=0)))
        for namespace in NAMESPACES:  # what a run before left is of another copy
            self.cache.invalidate(namespace=namespace, consistency="strict").wait(READY_S)

    def _ready(self) -> Running:
        """What runs, once all of it does; if `up` ends instead, its last words are the error."""
        end = time.monotonic() + READY_S
        while self._up.poll() is None and time.monotonic() < end:
            if (running := read_running(self.options.state)) and running.ready:
                return running
            time.sleep(POLL_S)
        log = self.state.logs / "up.log"
        last = log.read_text(errors="replace").rstrip().rpartition("\n")[2]
        raise CacheUnavailable(f"`cachekeeper up` is not ready, see {log}: {last}")

    def _environment(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(PREFIX)}
        return {
            **kept,
            **self.options.servers,
            CONFIG: str(SETTINGS),
            f"{PREFIX}STATE": str(self.options.state),
            f"{PREFIX}ORIGIN": str(self.library),
            f"{PREFIX}DEVICE_QUOTA": str(self.quota),
        }


def _stop(up: subprocess.Popen[bytes], guardian: Guardian) -> None:
    if up.poll() is None:
        up.send_signal(signal.SIGTERM)
        up.wait(STOP_S)
    guardian.remove(up.pid)
