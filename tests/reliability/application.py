"""Our application, in which one task can be made to stall, die or take memory.

``celery -A tests.reliability.application worker``. What is to happen is in the file ``inside.json``
of the folder ``RELIABILITY_FOLDER``; it happens where a task asks for its services, so in the
middle of real work in a real process. Pools may be restarted by remote control.
"""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any, Final

from celery import current_task
from celery.worker.control import control_command
from celery.worker.request import Request

from cachekeeper.origin.folder import FolderOrigin
from tests.reliability.inside import FOLDER, PLAN, SLOW_ORIGIN
from workers.app import app as app
from workers.context import WiringPerProcess

SLOW_S: Final = 0.4
#: A child that has grown beyond this is replaced after its task.
MEMORY_KB: Final = 400_000
HOG_BYTES: Final = 500_000_000

app.conf.worker_pool_restarts = True
app.conf.worker_max_memory_per_child = MEMORY_KB


#: Limits of time by task: hard, soft (s).
_limits: dict[str, tuple[float, float]] = {}


@control_command()
def limit_task(_: Any, task_name: str, soft: float, hard: float) -> dict[str, str]:
    """Change limits of time. Celery's own command does not, for two reasons.

    Requests know those of their task from the start of the worker, and a message that beat sent
    brings the limits that beat knew, which come first.
    """
    _limits[task_name] = hard, soft
    return {"ok": "limited"}


@control_command()
def unlimit_tasks(_: Any) -> dict[str, str]:
    """Let the limits of time be those that ship."""
    _limits.clear()
    return {"ok": "as before"}


class _Limits:
    """In place of ``Request.time_limits``, which is set from the message."""

    def __get__(self, request: Any, _: Any = None) -> Any:
        limited = request and _limits.get(request.name)
        return limited or (request.__dict__.get("time_limits", (None, None)) if request else self)

    def __set__(self, request: Any, limits: Any) -> None:
        request.__dict__["time_limits"] = limits


_wiring, _open = WiringPerProcess.__call__, FolderOrigin.open


def _meanwhile(self: WiringPerProcess) -> Any:
    folder = os.environ.get(FOLDER)
    if folder and current_task:
        _befall(Path(folder), current_task.name)
    return _wiring(self)


def _befall(folder: Path, task: str) -> None:
    try:
        plan = json.loads((folder / PLAN).read_text())
    except (OSError, ValueError):  # none, or it is just being taken away
        return
    if task not in plan["tasks"] or not _is_next(folder, plan):
        return
    if plan["what"] == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif plan["what"] == "hog":
        held = bytearray(HOG_BYTES)
        for page in range(0, len(held), 4096):
            held[page] = 1
    else:
        _stall(plan["seconds"], plan["what"] == "stubborn")


def _is_next(folder: Path, plan: dict[str, Any]) -> bool:
    """Whether it happens once more; each time leaves a file behind."""
    for i in range(plan["times"]):
        try:
            (folder / f"{plan['name']}.{i}").open("x").close()
        except FileExistsError:
            continue
        return True
    return False


def _stall(seconds: float, stubborn: bool) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            time.sleep(0.05)
        except Exception:  # the soft limit of time
            if not stubborn:
                raise


def _slow_open(self: FolderOrigin, path: str) -> Any:
    folder = os.environ.get(FOLDER)
    if folder and (Path(folder) / SLOW_ORIGIN).exists():
        time.sleep(SLOW_S)
    return _open(self, path)


Request.time_limits = _Limits()
WiringPerProcess.__call__ = _meanwhile  # type: ignore[method-assign]  # in this process only
FolderOrigin.open = _slow_open  # type: ignore[method-assign]
