"""The demo in processes of their own, as somebody types it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.integration.processes import family, left
from tests.support import wait_until

ROOT = Path(__file__).parents[2]
COMMAND = Path(sys.executable).with_name("cachekeeper")
DEMO, SHORT = "demo", "tests.demo.play"
WIDE = "200"  # columns, so that no line is wrapped
INVITATION = "edit any file in"


@dataclass(frozen=True)
class Ended:
    """A process that has ended, and what it printed."""

    status: int
    output: str
    errors: str


def environment() -> dict[str, str]:
    """Lines come as they are printed, and whole."""
    return {**os.environ, "COLUMNS": WIDE, "PYTHONUNBUFFERED": "1"}


def ended(*command: str | Path, seconds: float = 90, env: dict[str, str] | None = None) -> Ended:
    """Run a command to its end."""
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=environment() | (env or {}),
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def demo(*arguments: str | Path, env: dict[str, str] | None = None) -> Ended:
    """`python -m demo ...` to its end."""
    return ended(sys.executable, "-m", DEMO, *arguments, env=env)


def keeper(*arguments: str | Path) -> Ended:
    """`cachekeeper ...` to its end."""
    return ended(COMMAND, *arguments)


class Run:
    """A `demo run` that stays up, on the state of ``folder``."""

    def __init__(self, folder: Path, library: Path) -> None:
        self.state, self.library = folder / "state", folder / "state" / "library"
        self._output = folder / "output"
        given = ["--state", str(self.state), "--library", str(library)]
        command = [sys.executable, "-m", SHORT, "run", *given]
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=environment(), stdout=output, stderr=subprocess.STDOUT
            )
        self.started: set[psutil.Process] = {psutil.Process(self.process.pid)}

    def said(self) -> str:
        """All that it has printed so far."""
        return self._output.read_text()

    def wait_for(self, text: str, seconds: float = 60) -> str:
        """Wait until it prints a line with ``text``, and return that line."""

        def line() -> str | None:
            assert self.process.poll() is None or text in self.said(), self.said()
            whole = self.said().rpartition("\n")[0].splitlines()
            return next((line for line in whole if text in line), None)

        return wait_until(line, seconds) or ""

    def look(self) -> int:
        """Remember all processes it has now, to see later whether they are gone."""
        self.started.update(family(self.process.pid))
        return len(self.started)

    def alive(self) -> list[psutil.Process]:
        """What is left of it: of what was seen, and whatever mentions its state."""
        return left(list(self.started)) or mentioning(str(self.state))

    def gone(self, seconds: float) -> None:
        """Wait until nothing of it is left."""
        try:
            wait_until(lambda: not self.alive(), seconds)
        except AssertionError:
            raise AssertionError(f"left after {seconds:g} s: {self.alive()}") from None

    def close(self) -> None:
        """End it if it runs."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.process.wait()
        self.gone(30)


def mentioning(text: str) -> list[psutil.Process]:
    """Other processes with a text in their command line or environment."""
    found = []
    for process in psutil.process_iter():
        try:
            words = [*process.cmdline(), *process.environ().values()]
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue
        if process.pid != os.getpid() and any(text in word for word in words):
            found.append(process)
    return left(found)
