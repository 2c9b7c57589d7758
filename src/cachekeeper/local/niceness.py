"""Have a process give way to all others, on Linux too, where its niceness alone may not do that."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path
from typing import Final

#: The kernel takes one change in 100 ms, from whomever.
TRIES: Final = 10
PAUSE_S: Final = 0.05


def give_way(leader: int, nice: int) -> None:
    """Add to the niceness of a process that leads a session, and of the children it will have.

    Linux schedules sessions against each other before it looks at processes (``autogroup``, on by
    default on desktops; see sched(7)). Between sessions the niceness of a process counts for
    nothing: that of its session does, so both are set. Elsewhere there is only the first.
    """
    wanted = os.getpriority(os.PRIO_PROCESS, 0) + nice
    os.setpriority(os.PRIO_PROCESS, leader, wanted)
    session = Path(f"/proc/{leader}/autogroup")
    for _ in range(TRIES):
        try:
            session.write_text(str(wanted))
        except OSError as error:  # there are no such groups here, or it may not be changed
            if error.errno != errno.EAGAIN:
                return
            time.sleep(PAUSE_S)  # the kernel takes one change in 0.1 s, and tells nobody when
        else:
            return
