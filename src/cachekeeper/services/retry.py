"""Having work that failed done again, as often as it may be."""

from __future__ import annotations

import random
from typing import Final

from cachekeeper.core.backoff import pause_s
from cachekeeper.core.due import Work
from cachekeeper.core.ports.pipeline import Counters, Due
from cachekeeper.core.ports.tiers import Clock
from cachekeeper.errors import PermanentError

#: The name of a count, and what an error is told.
NOT_TRIED_AGAIN: Final = "not tried again: too many retries wait"
#: Characters of what an error says, in the due list.
SHOWN: Final = 500


class Retrier:
    """Puts work into the due list, after a pause that grows."""

    def __init__(self, *, due: Due, counters: Counters, now: Clock) -> None:
        self._due, self._counters, self._now = due, counters, now

    def later(
        self, work: Work, error: Exception, *, allowed: int, within_s: float = 0.0
    ) -> float | None:
        """Have work done again; returns the pause in seconds.

        ``work.retries`` counts the attempts until now, ``allowed`` those after the first.
        None when it will not be: after the last attempt, for an error that is permanent, or when
        too much waits already, which is noted with the error. ``within_s`` is the bound that a
        retry has to keep, 0 for none. Raises CacheUnavailable: nobody knows.
        """
        if work.retries > allowed or isinstance(error, PermanentError):
            return None
        drawn = random.random()  # noqa: S311  # against all coming back at once
        pause = pause_s(work.retries - 1, drawn, within_s=within_s)
        if self._due.put(work, self._now() + pause):
            return pause
        self._counters.count(NOT_TRIED_AGAIN)
        error.add_note(NOT_TRIED_AGAIN)
        return None
