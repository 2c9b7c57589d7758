"""A task to be cut off: it takes a minute, unless it is told that this will do."""

from __future__ import annotations

import time
from pathlib import Path

from celery import shared_task

NAME = "tests.slow"
LASTS_S = 60.0


@shared_task(name=NAME)
def slow(diary: str, enough: str) -> None:
    """Note the start and the end in the file ``diary``; end early once ``enough`` exists."""
    end = time.monotonic() + LASTS_S
    with Path(diary).open("a") as notes:
        notes.write("start\n")
        notes.flush()
        while time.monotonic() < end and not Path(enough).exists():
            time.sleep(0.05)
        notes.write("end\n")
