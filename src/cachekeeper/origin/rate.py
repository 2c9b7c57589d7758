"""How many bytes a second: a bucket that fills at that rate and holds a second's worth."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Lock


class ByteRate:
    """A limit that threads share: who takes more than there is waits until it is paid back."""

    def __init__(
        self,
        bytes_per_s: int,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._rate, self._clock, self._sleep = bytes_per_s, clock, sleep
        self._left, self._at, self._lock = float(bytes_per_s), clock(), Lock()

    def took(self, size: int) -> None:
        """Count bytes that came; returns when the next may."""
        with self._lock:
            now = self._clock()
            filled = self._left + (now - self._at) * self._rate
            self._left, self._at = min(float(self._rate), filled) - size, now
            pause = -self._left / self._rate
        if pause > 0:
            self._sleep(pause)
