"""Follows an origin and has invalidated what changes, as it happens.

One thread listens to the origin, another one submits, so that neither waits for the other. Nothing
ends it but its stop event: an origin that is away or can't be watched is swept meanwhile, and what
can't be submitted is held, up to a bound, beyond which the sweep has to find it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from threading import Condition, Event, Thread
from typing import Final

from cachekeeper.core.holding import Holding
from cachekeeper.core.ports.changes import Watchers, Watching
from cachekeeper.core.ports.origins import Changed, Origin
from cachekeeper.errors import CachekeeperError, RetryableError
from cachekeeper.services.changes import ChangeReporter

REASON: Final = "the file changed"
TOLD_AT_ONCE: Final = 5000
#: Between two tries to watch again, and so between two sweeps while that can't be done.
FIRST_PAUSE_S: Final = 1.0
LONGEST_PAUSE_S: Final = 30.0
#: Between two tries to submit.
RETRY_S: Final = 0.5
SAID_EVERY_S: Final = 5.0
#: Operating systems drop events when too many come at once, and not all of them say so. After so
#: many without a pause of ``CALM_S``, a sweep looks whether any was lost.
STORM: Final = 5000
CALM_S: Final = 5.0

log = logging.getLogger(__name__)


class Watcher:
    """``sweep`` has a sweep through the origin begin; it may raise, and is then called again."""

    def __init__(
        self,
        *,
        origin: Origin,
        reporter: ChangeReporter,
        sweep: Callable[[], None],
        watchers: Watchers,
        by: str,
        holding: Holding | None = None,
    ) -> None:
        self._origin, self._reporter, self._sweep = origin, reporter, sweep
        self._watchers, self._by = watchers, by
        self._holding = holding or Holding()
        self._news = Condition()
        self._state, self._since, self._error = "", time.time(), ""
        self._is_down = False  # what is held can't be submitted
        self._sweep_wanted = True
        self._told = self._requests = self._lost = 0
        self._in_a_row, self._last_batch = 0, 0.0
        self._said = float("-inf")

    def run(self, stop: Event) -> None:
        """Follow the origin until ``stop`` is set; what is held then is submitted, once."""
        submitting = Thread(target=self._submit_until, args=[stop], name="cachekeeper-submit")
        submitting.start()
        try:
            self._follow(stop)
        finally:
            stop.set()
            with self._news:
                self._news.notify()
            submitting.join()

    def _follow(self, stop: Event) -> None:
        pause = FIRST_PAUSE_S
        while not stop.is_set():
            begun = time.monotonic()
            try:
                for batch in self._origin.watch(stop):
                    self._came(batch)
                reason = "the origin ended it"
            except CachekeeperError as error:
                reason = str(error)
            except Exception as error:  # whatever it is: it must not go on unnoticed
                log.exception("not watching: %s", error)
                reason = f"{type(error).__name__}: {error}"
            if stop.is_set():
                return
            if time.monotonic() - begun > LONGEST_PAUSE_S:
                pause = FIRST_PAUSE_S
            self._is(f"not watching: {reason}")
            self._want_sweep()
            stop.wait(pause)
            pause = min(2 * pause, LONGEST_PAUSE_S)

    def _came(self, batch: Sequence[Changed]) -> None:
        """A batch; the first one, which may be empty, says that the origin is watched now."""
        if self._state != "watching":
            self._is("watching")
            self._want_sweep()  # what changed before that was not told
        now = time.monotonic()
        with self._news:
            self._in_a_row = len(batch) + (self._in_a_row if now - self._last_batch < CALM_S else 0)
            self._last_batch = now
            self._holding.add(batch)
            self._news.notify()

    def _is(self, state: str) -> None:
        if state != self._state:
            log.log(logging.INFO if state == "watching" else logging.WARNING, "%s", state)
            self._state, self._since = state, time.time()
            self._said = float("-inf")  # say so at once

    def _want_sweep(self) -> None:
        with self._news:
            self._sweep_wanted = True
            self._news.notify()

    def _submit_until(self, stop: Event) -> None:
        while not stop.is_set():
            with self._news:
                self._news.wait(self._pause())
                due = self._holding.due(time.monotonic(), TOLD_AT_ONCE)
                self._storm_over()
            if due and not self._submit(due):
                stop.wait(RETRY_S)
            if self._sweep_wanted:
                self._ask_for_sweep()
            self._say()
        self._submit(self._holding.everything())
        with suppress(RetryableError):
            self._watchers.leave(self._by)

    def _pause(self) -> float:
        """Seconds until something is to be done, if nothing comes."""
        due = self._holding.next_due()
        return 1.0 if due is None else max(0.0, min(1.0, due - time.monotonic()))

    def _storm_over(self) -> None:
        calm = time.monotonic() - self._last_batch >= CALM_S
        lost, self._lost = self._holding.lost - self._lost, self._holding.lost
        if lost:
            log.warning("%d changes found no room: the sweep has to find them", lost)
        if lost or (calm and self._in_a_row >= STORM):
            self._sweep_wanted = True
            self._in_a_row = 0

    def _submit(self, changes: Sequence[Changed]) -> bool:
        try:
            done = self._reporter.report(changes, reason=REASON, by=self._by)
        except RetryableError as error:
            with self._news:
                self._holding.add(changes)
            self._error = str(error)
            if not self._is_down:
                log.warning("changes are held, since they can't be submitted: %s", error)
            self._is_down = True
            return False
        if self._is_down:
            log.warning("changes are submitted again")
            self._is_down, self._error, self._sweep_wanted = False, "", True
        self._told += len(changes)
        self._requests += done.requests
        return True

    def _ask_for_sweep(self) -> None:
        self._sweep_wanted = False
        try:
            self._sweep()
        except RetryableError as error:
            log.debug("no sweep yet: %s", error)
            self._sweep_wanted = True

    def _say(self) -> None:
        now = time.monotonic()
        if now - self._said < SAID_EVERY_S:
            return
        self._said = now
        with suppress(RetryableError):  # nobody can hear it
            self._watchers.say(
                Watching(
                    by=self._by,
                    state=self._state or "beginning",
                    since=self._since,
                    told=self._told,
                    requests=self._requests,
                    held=len(self._holding),
                    lost=self._holding.lost,
                    error=self._error,
                    at=time.time(),
                )
            )
