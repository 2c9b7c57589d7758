"""Keeps a set of services running until it is told to stop.

One thread and one loop. Every tenth of a second, or at once when a child ends or a signal
arrives, it reaps what ended, starts what is due, and shows what was logged. Whatever
happens to this process itself is the guardian's business.
"""

from __future__ import annotations

import select
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType

from cachekeeper.local.child import Child
from cachekeeper.local.guardian import KILLED_S, Group, living
from cachekeeper.local.logs import Console, Log
from cachekeeper.local.server import SERVER_STAGE
from cachekeeper.local.services import Service
from cachekeeper.local.spawn import Guardian
from cachekeeper.local.state import Row, State

TICK_S = 0.1
#: A service that ends this often with an error before it ever was ready won't ever be.
REFUSALS = 3
#: Two signals closer than this, in seconds, are one: a wrapper passes on what the terminal
#: has sent to both.
ONE_SIGNAL_S = 0.5
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Supervisor:
    """Runs ``services``; must be used from the main thread.

    Args:
        services: what to run; low stages stop first.
        state: where their logs go.
        guardian: stops them if this process is killed.
        console: where their logs are shown.
        started: processes of theirs that run already, by the service's name.
        publish: is told of every change, and whether all services are ready.
    """

    def __init__(
        self,
        services: Sequence[Service],
        state: State,
        guardian: Guardian,
        console: Console,
        *,
        started: Mapping[str, subprocess.Popen[bytes]],
        publish: Callable[[Sequence[Row], bool], None],
    ) -> None:
        self._guardian, self._console, self._publish = guardian, console, publish
        self._children = [
            Child(service, Log(state.logs / f"{service.name}.log"), started.get(service.name))
            for service in services
        ]
        self._published: tuple[list[Row], bool] | None = None
        self._signals: list[float] = []

    def run(self) -> int:
        """Supervise until a signal says stop; return the exit status.

        0 after SIGINT, SIGTERM or SIGHUP; 1 if a service refused to start, with what it said
        shown. A second signal kills what is still stopping. Afterwards these signals are ignored,
        since only cleaning up is left to do: the caller sets them as it likes.
        """
        refused = None
        with self._listening():
            try:
                while not (self._signals or refused):
                    refused = self._turn()
                self._console.say("stopping" if refused else "stopping; Ctrl-C again to kill")
            finally:
                self._stop()
                for child in self._children:
                    child.log.close()
        if refused:
            self._console.say(refused)  # last, where it is seen
        return 1 if refused else 0

    def _turn(self) -> str | None:
        """One turn of the loop; the reason if it makes no sense to go on."""
        now = time.monotonic()
        self._guardian.ensure()
        for child in self._children:
            self._show(child)
            if how := child.ended(self._guardian, now):
                self._show(child)
                name = child.service.name
                if child.refusals >= REFUSALS:
                    said = "\n".join(f"  {line}" for line in child.log.last)
                    return f"error: {name} refuses to start ({how}). The last it said:\n{said}"
                self._console.say(f"{name} {how}; starting it again in {child.due - now:g} s")
        self._start_due(now)
        self._tell()
        self._sleep()
        return None

    def _start_due(self, now: float) -> None:
        waiting = {child.service.name for child in self._children if not child.ready}
        for child in self._children:
            if (
                child.process is None
                and child.due <= now
                and waiting.isdisjoint(child.service.needs)
            ):
                try:
                    child.start(self._guardian, now)
                except OSError as error:
                    child.wait(now)
                    self._console.say(f"{child.service.name} can't be started now: {error}")

    def _show(self, child: Child) -> None:
        for line in child.lines():
            self._console.log(child.service.name, line)

    def _tell(self) -> None:
        rows = [child.row() for child in self._children]
        seen = (rows, all(child.ready for child in self._children))
        if seen != self._published:
            self._published = seen
            self._publish(*seen)

    def _stop(self) -> None:
        for stage in sorted({child.service.stage for child in self._children}):
            children = [child for child in self._children if child.service.stage == stage]
            groups = [child.group for child in children if child.group]
            processes = living()
            for group in groups:
                if group.alive(processes):
                    group.terminate(processes)
            grace = max(child.service.grace for child in children)
            # The server is never hurried: it only has to write out its file.
            left = self._wait_gone(groups, grace, impatient=stage < SERVER_STAGE)
            for group in left:
                group.kill()
            self._wait_gone(left, KILLED_S, impatient=False)

    def _wait_gone(
        self, groups: Sequence[Group], seconds: float, *, impatient: bool
    ) -> Sequence[Group]:
        """Wait until the groups have ended, if ``impatient`` only until a second signal.

        Returns those that have not.
        """
        end = time.monotonic() + seconds
        while True:
            for child in self._children:
                self._show(child)
                child.ended(self._guardian, time.monotonic())
            processes = living()
            left = [group for group in groups if group.alive(processes)]
            if not left or time.monotonic() > end or (impatient and len(self._signals) > 1):
                return left
            self._sleep()

    @contextmanager
    def _listening(self) -> Iterator[None]:
        """Turn the stopping signals, and the end of a child, into something to wait for."""
        self._bell, ringer = socket.socketpair()
        with self._bell, ringer:
            self._bell.setblocking(False)
            ringer.setblocking(False)
            wakeup = signal.set_wakeup_fd(ringer.fileno(), warn_on_full_buffer=False)
            for number in STOPPING:
                signal.signal(number, self._on_signal)
            child_ended = signal.signal(signal.SIGCHLD, lambda *_: None)
            try:
                yield
            finally:
                for number in STOPPING:
                    signal.signal(number, signal.SIG_IGN)
                signal.signal(signal.SIGCHLD, child_ended)
                signal.set_wakeup_fd(wakeup)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        now = time.monotonic()
        if not self._signals or now - self._signals[-1] > ONE_SIGNAL_S:
            self._signals.append(now)

    def _sleep(self) -> None:
        if select.select([self._bell], [], [], TICK_S)[0]:
            self._bell.recv(4096)
