"""The wiring of the process that runs a task: made on first use, dropped at a fork.

Tasks don't import it: a task gets it as ``self.app.wiring()``, so that the direction
``tasks <- workers`` holds.
"""

from __future__ import annotations

import os

from cachekeeper.settings import load
from workers.wiring import Wiring


class WiringPerProcess:
    """Gives each process its own wiring; sockets and threads don't survive a fork."""

    def __init__(self) -> None:
        self._pid = 0
        self._wiring: Wiring | None = None

    def __call__(self) -> Wiring:
        """The wiring of this process."""
        if self._wiring is None or self._pid != os.getpid():
            self._pid, self._wiring = os.getpid(), Wiring(load())
        return self._wiring
