"""Makes some requests kill the process that works on them, as a crash or the kernel would.

A worker that imports this (``-I``) dies over keys that begin with one of ``DEADLY``, before the
task begins, until there is a file ``cured``; each death is a line in the file ``deaths``. Over keys
that begin with ``STUCK`` it stops and hears no signal but the last.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from celery.signals import task_prerun

FOLDER = "TESTS_DEADLY_FOLDER"
#: Prefix of a key, and how often it kills.
DEADLY = {"always:": 1_000_000, "once:": 1}
STUCK = "stuck:"


def die(kwargs: dict[str, Any] | None = None, **_: Any) -> None:
    """End this process if the task is to be about such a key."""
    folder = Path(os.environ[FOLDER])
    for key in (kwargs or {}).get("keys", ()):
        if key.startswith(STUCK):
            os.kill(os.getpid(), signal.SIGSTOP)
        for prefix, times in DEADLY.items():
            if key.startswith(prefix) and deaths(folder).count(key) < times:
                if (folder / "cured").exists():
                    return
                with (folder / "deaths").open("a") as notes:
                    notes.write(f"{key}\n")
                os.kill(os.getpid(), signal.SIGKILL)


if FOLDER in os.environ:  # in a worker, and not in the test that imports the names
    task_prerun.connect(die, weak=False)


def deaths(folder: Path) -> list[str]:
    """The keys that killed, in order."""
    diary = folder / "deaths"
    return diary.read_text().split() if diary.exists() else []
