"""One supervised process: started, followed, and started again when it ends."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator

from cachekeeper.local.guardian import Group
from cachekeeper.local.logs import Log
from cachekeeper.local.network import free_port
from cachekeeper.local.services import Service
from cachekeeper.local.spawn import Guardian, spawn
from cachekeeper.local.state import Row

#: Seconds before a process that ended is started again: doubled each time up to the longest,
#: and the shortest again after it ran for a while without ending.
SHORTEST_S, LONGEST_S = 0.5, 30.0
HEALTHY_S = 60.0


class Child:
    """A service and the process that runs it just now, if any. Times are monotonic seconds."""

    def __init__(self, service: Service, log: Log, process: subprocess.Popen[bytes] | None) -> None:
        self.service, self.log = service, log
        self.process = process
        self.group = Group.of(process.pid, service.stage, service.grace) if process else None
        self.ready = process is not None
        self.address = service.address
        #: When to start it next.
        self.due = 0.0
        self.restarts = 0
        #: How often in a row it ended with an error of its own before it was ever ready.
        self.refusals = 0
        self._was_ready = self.ready
        self._began = 0.0
        self._delay = SHORTEST_S

    def start(self, guardian: Guardian, now: float) -> None:
        """Start the process.

        Raises:
            ConfigurationError: it needs a port and none is free.
            OSError: the system has no room for another process.
        """
        service = self.service
        port = free_port(service.port) if service.port else None
        with self.log.open() as output:
            self.process = spawn(
                [word.format(port=port) if port else word for word in service.argv],
                guardian,
                output=output,
                stage=service.stage,
                grace=service.grace,
                nice=service.nice,
                env={**os.environ, **service.env},
                cwd=service.cwd,
                keep=service.keep,
            )
        self.group = Group.of(self.process.pid, service.stage, service.grace)
        self._began = now

    def lines(self) -> Iterator[str]:
        """What it has logged since the last call; notices when it says that it is ready."""
        for line in self.log.lines():
            if not self.ready and self.process and (said := self.service.ready.search(line)):
                self.ready = self._was_ready = True
                self.refusals = 0
                self.address = said.groupdict().get("address", self.address)
            yield line

    def ended(self, guardian: Guardian, now: float) -> str | None:
        """How the process ended, if it did since the last call; sets when to start it again."""
        if self.process is None or (status := self.process.poll()) is None:
            return None
        assert self.group is not None
        self.group.kill()  # its own children, if it left any
        guardian.remove(self.process.pid)
        self.process = self.group = None
        self.ready = False
        if status > 0 and not self._was_ready:
            self.refusals += 1
        if now - self._began > HEALTHY_S:
            self._delay = SHORTEST_S
        self.restarts += 1
        self.wait(now)
        if status < 0:
            return f"was ended by signal {-status} ({signal.strsignal(-status)})"
        return f"ended with status {status}"

    def wait(self, now: float) -> None:
        """Set when to start it next: after twice the time of the last wait."""
        self.due = now + self._delay
        self._delay = min(2 * self._delay, LONGEST_S)

    def row(self) -> Row:
        """Its line of the table."""
        return Row(
            name=self.service.name,
            pid=self.process.pid if self.process else None,
            began=self.group.began if self.group else None,
            address=self.address,
            what=self.service.what,
            log=str(self.log.path),
            restarts=self.restarts,
        )
