"""Which server answers: checked on every new connection, before anything else is asked of it."""

from __future__ import annotations

import time
from typing import Any

from cachekeeper.core.stamps import Moment

#: When this process, or the one it was forked from, first saw an incarnation.
_first_seen: dict[int, float] = {}


def lease_clock() -> float:
    """Seconds on a clock that also counts while the machine sleeps, where there is one."""
    return time.clock_gettime(_CLOCK)


_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def seen_for(incarnation: int) -> float:
    """For how many seconds this process has known an incarnation; 0 if it does not."""
    first = _first_seen.get(incarnation)
    return 0.0 if first is None else lease_clock() - first


class Incarnations:
    """What this process knows of the server's clock; one for all connections to a deployment."""

    def __init__(self, clock_key: str, script: str) -> None:
        self._key, self._script = clock_key, script
        self.seen = Moment(0, 0)

    def check(self, connection: Any) -> None:
        """Greet a server: begin a new incarnation if it is not the one that was known."""
        connection.on_connect()
        connection.send_command("INFO", "server", check_health=False)
        run = _run_id(connection.read_response())
        arguments = (run, self.seen.incarnation, self.seen.epoch)
        connection.send_command("EVAL", self._script, 1, self._key, *arguments, check_health=False)
        self.saw(Moment(*map(int, connection.read_response())))

    def saw(self, moment: Moment) -> None:
        """Remember how far the clock was seen."""
        if moment > self.seen:
            self.seen = moment
        _first_seen.setdefault(moment.incarnation, lease_clock())


def _run_id(info: bytes | str) -> str:
    text = info.decode() if isinstance(info, bytes) else info
    return next(line[7:].strip() for line in text.splitlines() if line.startswith("run_id:"))
