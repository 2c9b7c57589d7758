"""What the tests of real processes share: waiting, and looking at what is left."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import psutil


def eventually(condition: Callable[[], object], seconds: float = 15) -> float:
    """Wait until ``condition`` holds; return how long it took, fail after ``seconds``."""
    begin = time.monotonic()
    while not condition():
        waited = time.monotonic() - begin
        assert waited < seconds, f"not within {seconds:g} s: {condition}"
        time.sleep(0.02)
    return time.monotonic() - begin


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
