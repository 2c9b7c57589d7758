"""Reads of values that live longer for them: counted here, told to the server in one trip.

A hit costs nothing but a count. A thread tells them within a second of the first one, so a process
that is killed loses the accesses of its last second. It sleeps while nothing is counted.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Final

from cachekeeper.core.stamps import Entry
from cachekeeper.core.ttl import Accessed, Lifetime
from cachekeeper.errors import CacheFull, CacheUnavailable

log = logging.getLogger(__name__)

FLUSH_EVERY_S: Final = 0.5
#: Different keys that are counted between two trips; accesses of others are not.
KEYS_AT_ONCE: Final = 20_000


class _Count:
    """Accesses of one version of a value."""

    __slots__ = ("accesses", "expires", "filled", "lifetime")

    def __init__(self, entry: Entry, lifetime: Lifetime) -> None:
        self.filled, self.expires, self.lifetime = entry.filled, entry.expires, lifetime
        self.accesses = 1


class Accesses:
    """The accesses of this process; threads may share it.

    ``extend`` tells the server and returns when each value expires, or None; ``prolong`` is told
    that of a value that the memory of the process may hold: (key, filled, expires).
    """

    def __init__(
        self,
        extend: Callable[[Sequence[Accessed]], Sequence[float | None]],
        prolong: Callable[[str, float, float], None],
    ) -> None:
        self._extend, self._prolong = extend, prolong
        self._lifetimes: dict[str, Lifetime] = {}
        self._counts: dict[str, _Count]
        self._lock: threading.Lock
        self._counting: threading.Event
        self._stop: threading.Event
        self._thread: threading.Thread | None
        self._begin()

    def declare(self, namespace: str, lifetime: Lifetime) -> None:
        """Count the accesses of a namespace's values from now on, if that extends them."""
        if lifetime.extends:
            self._lifetimes[namespace] = lifetime

    def count(self, key: str, entry: Entry) -> None:
        """A value was read; nothing is asked of the server."""
        with self._lock:
            counted = self._counts.get(key)
            if counted is not None and counted.filled == entry[2]:
                counted.accesses += 1
                return
        lifetime = self._lifetimes.get(key.partition(":")[0])
        if lifetime is not None:
            self._count_first(key, _Count(entry, lifetime))

    def _count_first(self, key: str, count: _Count) -> None:
        """Of the version that was filled last, whichever is read."""
        with self._lock:
            counted = self._counts.get(key)
            if counted is None and len(self._counts) >= KEYS_AT_ONCE:
                return
            if counted is not None and counted.filled == count.filled:
                counted.accesses += 1
            elif counted is None or counted.filled < count.filled:
                self._counts[key] = count
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="cachekeeper-accesses", daemon=True
                )
                self._thread.start()
            self._counting.set()

    def flush(self) -> None:
        """Tell the server what was counted, in one trip; what lives its longest has no need of it.

        Without the server the counts are kept for the next time.
        """
        with self._lock:
            counts, self._counts = self._counts, {}
        told = [
            Accessed(key, each.filled, each.accesses, each.lifetime)
            for key, each in counts.items()
            if each.expires < each.filled + each.lifetime.most(key)
        ]
        try:
            ends = self._extend(told) if told else []
        except CacheUnavailable:
            self._keep(counts)
            return
        except CacheFull as error:  # they live as long as they did
            log.warning("not_extended keys=%d: %s", len(told), error)
            return
        for each, expires in zip(told, ends, strict=True):
            if expires is not None:
                self._prolong(each.key, each.filled, expires)

    def close(self) -> None:
        """Tell what is left, and count nothing more."""
        self._lifetimes = {}
        self._stop.set()
        self._counting.set()
        if self._thread is not None:
            self._thread.join()
        self.flush()

    def forked(self) -> None:
        """In the child of a fork: what was counted is the parent's to tell."""
        self._begin()

    def _keep(self, counts: dict[str, _Count]) -> None:
        """Add what could not be told to what was counted since."""
        with self._lock:
            for key, each in counts.items():
                since = self._counts.setdefault(key, each)
                if since is not each and since.filled == each.filled:
                    since.accesses += each.accesses

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._counts, self._thread = {}, None
        self._counting, self._stop = threading.Event(), threading.Event()

    def _run(self) -> None:
        counting, stop = self._counting, self._stop
        while counting.wait() and not stop.wait(FLUSH_EVERY_S):
            counting.clear()
            try:
                self.flush()
                if self._counts:  # the server is away
                    counting.set()
            except Exception:  # or no life would be extended any more
                log.exception("accesses_not_told")
