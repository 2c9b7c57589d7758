"""Makes known what runs where: in ``up.json`` for programs, once as a table for people."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

from cachekeeper.local.guardian import living
from cachekeeper.local.logs import Console
from cachekeeper.local.state import Row, Running, State
from cachekeeper.local.table import render


class Board:
    """What the supervisor of this process has to tell about its deployment."""

    def __init__(self, state: State, console: Console) -> None:
        self._state, self._console = state, console
        self._pid, self._since = os.getpid(), time.time()
        self._began = living()[self._pid].began
        self._announced = False
        self.broker_url = self.cache_url = ""

    def publish(self, rows: Sequence[Row], ready: bool) -> None:
        """Replace the table; show it the first time that everything is ready."""
        flower = next((row.address for row in rows if row.name == "flower"), "")
        running = Running(
            pid=self._pid,
            began=self._began,
            since=self._since,
            ready=ready,
            broker_url=self.broker_url,
            cache_url=self.cache_url,
            flower_url=flower or None,
            services=rows,
        )
        try:
            running.write(self._state)
        except OSError as error:  # a full disk, say: no reason to stop what runs
            self._console.say(f"{self._state.table} can't be written: {error.strerror}")
        if ready and not self._announced:
            self._announced = True
            self._console.say(
                f"\nCachekeeper is up ({time.time() - self._since:.1f} s), "
                f"its state in {self._state.folder}\n\n"
                f"{render(running, self._state)}\n\n  Ctrl-C stops all of it.\n"
            )
