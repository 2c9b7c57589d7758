"""Leaving an origin alone that fails again and again.

Our own and small: pybreaker holds its lock while it calls, so that one request would wait for
another; purgatory lets everybody probe at once; and both wait for a fixed time, as aiobreaker does.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from threading import Lock

from cachekeeper.core.backoff import pause_s
from cachekeeper.errors import OriginUnavailable


class Breaker:
    """Closed: all may ask. Open: nobody, for a pause. Half open: one probes for the others.

    It opens after ``failures`` in a row, and a probe that fails opens it again, each time for
    longer, up to ten seconds (``core.backoff``). ``clock`` counts seconds from anywhere.
    """

    def __init__(
        self,
        name: str,
        failures: int,
        *,
        clock: Callable[[], float] = time.monotonic,
        drawn: Callable[[], float] = random.random,
    ) -> None:
        self._name, self._failures, self._clock, self._drawn = name, failures, clock, drawn
        self._lock = Lock()
        self._in_row, self._until, self._probing, self._last = 0, 0.0, False, ""

    def admit(self) -> bool:
        """Whether the caller probes; ``succeeded``, ``failed`` or ``unsaid`` has to follow.

        Raises OriginUnavailable at once while nobody is to ask, saying until when.
        """
        with self._lock:
            if self._in_row < self._failures:
                return False
            left = self._until - self._clock()
            if left > 0 or self._probing:
                raise OriginUnavailable(
                    f"{self._name} failed {self._in_row} times in a row "
                    f"({self._last}): {self._when(left)}"
                )
            self._probing = True
            return True

    def succeeded(self) -> None:
        """It answers."""
        with self._lock:
            self._in_row, self._probing = 0, False

    def failed(self, reason: str) -> None:
        """It does not."""
        with self._lock:
            late = self._in_row >= self._failures and not self._probing
            self._probing = False
            self._last = reason
            if late:  # it was asked before the breaker opened: no news
                return
            self._in_row += 1
            if self._in_row >= self._failures:
                beyond = self._in_row - self._failures
                self._until = self._clock() + pause_s(beyond, self._drawn())

    def unsaid(self, *, probing: bool) -> None:
        """The caller ended before the origin could answer: the next one probes in its place."""
        if probing:
            with self._lock:
                self._probing = False

    def _when(self, left: float) -> str:
        if left <= 0:
            return "it is being asked again just now"
        at = time.strftime("%H:%M:%S", time.gmtime(time.time() + left))
        return f"not asked until {at} UTC, in {left:.1f} s"
