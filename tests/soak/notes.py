"""What a client process notes of its own calls: a line a second, in a file of its own."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

LINE_S: Final = 1.0
WRONG_KEPT: Final = 20


class Notes:
    """Times by kind of call, and counts; threads may share it."""

    def __init__(self, file: Path) -> None:
        self._lock, self._stop = threading.Lock(), threading.Event()
        self._times: defaultdict[str, list[float]] = defaultdict(list)
        self._counts: Counter[str] = Counter()
        self._gauges: dict[str, int] = {}
        self._wrong: list[str] = []
        self._file = file.open("a")
        self._thread = threading.Thread(target=self._write, name="notes")
        self._thread.start()

    @contextmanager
    def timed(self, kind: str) -> Iterator[None]:
        """Note how long what is within takes, unless it fails."""
        begin = time.perf_counter()
        yield
        self.took(kind, time.perf_counter() - begin)

    def took(self, kind: str, seconds: float) -> None:
        """Note how long something took."""
        with self._lock:
            self._times[kind].append(seconds)

    def gauge(self, what: str, figure: int) -> None:
        """Note how much there is of something just now."""
        with self._lock:
            self._gauges[what] = figure

    def count(self, what: str) -> None:
        """Count something that happened."""
        with self._lock:
            self._counts[what] += 1

    def wrong(self, what: str) -> None:
        """A promise that was broken."""
        with self._lock:
            self._counts["wrong"] += 1
            if len(self._wrong) < WRONG_KEPT:
                self._wrong.append(what)

    def close(self) -> None:
        """Write what is left."""
        self._stop.set()
        self._thread.join()
        self._file.close()

    def _write(self) -> None:
        while not self._stop.wait(LINE_S):
            self._line()
        self._line()

    def _line(self) -> None:
        with self._lock:
            times, self._times = self._times, defaultdict(list)
            counts, self._counts = self._counts, Counter()
            wrong, self._wrong = self._wrong, []
            gauges = dict(self._gauges)
        figures = {kind: _figures(sorted(found)) for kind, found in times.items()}
        line = {"at": time.time(), "ms": figures, "counts": counts, "gauges": gauges}
        line["wrong"] = wrong
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()


def _figures(found: list[float]) -> dict[str, float]:
    """Milliseconds, and how many there were."""
    last = len(found) - 1
    return {
        "n": len(found),
        "p50": round(1000 * found[last // 2], 3),
        "p99": round(1000 * found[round(last * 0.99)], 3),
    }


def read(file: Path) -> list[dict[str, Any]]:
    """All lines but one that is half written."""
    found = []
    for line in file.read_text().splitlines() if file.exists() else []:
        try:
            found.append(json.loads(line))
        except ValueError:
            break
    return found
