"""The main process's side of a reader process."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from itertools import count
from pathlib import Path
from typing import IO, Any

from cachekeeper.errors import CachekeeperError

ANSWER_S = 60.0
LEAVES_S = 5.0
COMMAND = (sys.executable, "-m", "demo.reader")


class ReaderProcess:
    """A reader in a process of its own, asked in JSON lines."""

    def __init__(
        self,
        devices: Sequence[str],
        paths: Sequence[str],
        *,
        env: Mapping[str, str],
        log: IO[bytes],
        command: Sequence[str] = COMMAND,
    ) -> None:
        self._numbers = count(1)
        self._ready: Future[Any] = Future()
        self._asked: dict[int, Future[Any]] = {0: self._ready}
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            list(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env=dict(env),
            cwd=Path(__file__).parents[1],
            text=True,
            start_new_session=True,  # Ctrl-C is for us: we end it in order
        )
        threading.Thread(target=self._listen, daemon=True).start()
        self._write({"devices": list(devices), "paths": list(paths)})

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def wait_ready(self) -> None:
        """Wait until it serves. Raises CachekeeperError when it ends instead."""
        self._ready.result(ANSWER_S)

    def ask(self, command: str, **arguments: object) -> Future[Any]:
        """Send a command; the future gives its answer."""
        with self._lock:
            number = next(self._numbers)
            answer = self._asked[number] = Future()
        self._write({"id": number, "do": command, "with": arguments})
        return answer

    def call(self, command: str, **arguments: object) -> Any:
        """Send a command and wait. Raises CachekeeperError when it fails."""
        return self.ask(command, **arguments).result(ANSWER_S)

    def close(self) -> None:
        """End it, and wait until it has."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(LEAVES_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _write(self, message: object) -> None:
        assert self._process.stdin is not None
        with self._lock:
            self._process.stdin.write(json.dumps(message) + "\n")
            self._process.stdin.flush()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            said = json.loads(line)
            answer = self._asked.pop(said["id"])
            if "error" in said:
                answer.set_exception(CachekeeperError(f"reader: {said['error']}"))
            else:
                answer.set_result(said["is"])
        for answer in list(self._asked.values()):
            answer.set_exception(CachekeeperError(f"reader {self.pid} has ended"))
