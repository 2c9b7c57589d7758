"""What the tests of real processes share: looking at what is left."""

from __future__ import annotations

from collections.abc import Sequence

import psutil


def family(pid: int) -> list[psutil.Process]:
    """Everything that the process started, and what that started."""
    return psutil.Process(pid).children(recursive=True)


def left(processes: Sequence[psutil.Process]) -> list[psutil.Process]:
    """Those that still live; a zombie that nobody has reaped yet doesn't."""
    return [process for process in processes if _lives(process)]


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
