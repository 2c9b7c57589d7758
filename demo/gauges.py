"""What is measured while the morning plays, from outside: bytes on disk, memory of processes."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from cachekeeper.local.state import read_running
from cachekeeper.store.device_files import DeviceFiles

QUOTA_PERIOD_S = 0.1
MEMORY_PERIOD_S = 1.0


class _Gauge(ABC):
    """Calls ``measure`` at a fixed rate in a thread of its own, for the time of a ``with``."""

    def __init__(self, period_s: float) -> None:
        self._period_s = period_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    @abstractmethod
    def measure(self) -> None:
        """Take one measurement."""

    def _run(self) -> None:
        due = time.monotonic()
        while not self._stop.is_set():
            self.measure()
            due = max(due + self._period_s, time.monotonic())
            self._stop.wait(due - time.monotonic())

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()
        self.measure()


class QuotaGauge(_Gauge):
    """The bytes of each device as the file system has them, ten times a second."""

    def __init__(self, files: DeviceFiles, devices: list[str], quota: int) -> None:
        super().__init__(QUOTA_PERIOD_S)
        self._files, self.quota = files, quota
        self.now = dict.fromkeys(devices, 0)
        self.most = dict.fromkeys(devices, 0)
        self.samples = 0

    def measure(self) -> None:
        """One look at every device."""
        for device in self.now:
            self.now[device] = self._files.bytes_on_disk(device)
            self.most[device] = max(self.most[device], self.now[device])
        self.samples += 1

    @property
    def exceeded(self) -> list[str]:
        """Devices that were ever above their quota."""
        return [device for device, most in self.most.items() if most > self.quota]


class MemoryGauge(_Gauge):
    """The peak memory of every process: as the kernel counts it, where it does (VmHWM)."""

    def __init__(self, state: Path, others: Callable[[], dict[int, str]]) -> None:
        super().__init__(MEMORY_PERIOD_S)
        self._state, self._others = state, others
        self.peaks: dict[tuple[str, int], int] = {}  # (name, pid) -> bytes
        self.workers: set[int] = set()  # every process of a worker, children too

    def measure(self) -> None:
        """One look at every process."""
        running = read_running(self._state)
        named = self._others()
        if running:
            named[running.pid] = "up"
            named |= {row.pid: row.name for row in running.services if row.pid}
        for pid, name in named.items():
            for process in _family(pid):
                self._note(name, process)

    def _note(self, name: str, process: psutil.Process) -> None:
        try:
            peak = _peak(process)
        except (psutil.Error, FileNotFoundError, ProcessLookupError):
            return  # it has ended
        if name in {"immediate", "general", "plan", "fetch"}:
            self.workers.add(process.pid)
        key = (name, process.pid)
        self.peaks[key] = max(self.peaks.get(key, 0), peak)

    @property
    def largest(self) -> tuple[str, int]:
        """The process that took most, and its bytes."""
        (name, _), peak = max(list(self.peaks.items()), key=lambda item: item[1])
        return name, peak


def _family(pid: int) -> list[psutil.Process]:
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.Error:
        return []


def _peak(process: psutil.Process) -> int:
    status = Path(f"/proc/{process.pid}/status")
    if not status.exists():
        return int(process.memory_info().rss)
    for line in status.read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0  # a zombie has none
