"""The memory of one process: the nearest tier, bounded in bytes, kept honest by the log.

An entry leaves when the log says that one of its sources was invalidated (a reverse index finds
it), when it expires, or when the least recently used must make room. While the process has not
heard from the server for a lease, nothing is served from here.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable

from cachekeeper.core.stamps import Found

#: Marks remembered to refuse late fills; older ones are covered by a floor.
MARKS_KEPT = 10_000


class MemoryTier:
    """Entries of this process; ``now`` gives seconds since 1970, ``clock`` counts leases."""

    name = "memory"

    def __init__(self, capacity: int, now: Callable[[], float], clock: Callable[[], float]) -> None:
        self._capacity, self._now, self._clock = capacity, now, clock
        self.lease_until = 0.0  # on ``clock``
        self._lock = threading.Lock()
        self._entries: OrderedDict[str, Found] = OrderedDict()
        self._by_source: dict[str, set[str]] = {}
        self._marks: OrderedDict[str, int] = OrderedDict()
        self._floor = 0
        self._bytes = 0
        self._open = False
        self.applied = 0  # the epoch up to which the log was applied

    def read(self, key: str) -> Found | None:
        """The entry if this process may serve it."""
        with self._lock:
            found = self._entries.get(key)
            if found is None or not self._open or self._clock() >= self.lease_until:
                return None
            if found.entry.expires <= self._now():
                self._drop(key)
                return None
            self._entries.move_to_end(key)
            return Found(found.entry, self.applied)

    def fill(self, key: str, found: Found) -> int | None:
        """Keep an entry unless a source of it was invalidated since it was found valid."""
        entry, epoch = found.entry, found.epoch
        with self._lock:
            self._drop(key)
            marks = map(self._marks.get, entry.stamp.sources)
            late = epoch < self._floor or any(mark is not None and mark > epoch for mark in marks)
            if late or not self._open or entry.size > self._capacity:
                return None
            self._entries[key] = found
            self._bytes += entry.size
            for source in entry.stamp.sources:
                self._by_source.setdefault(source, set()).add(key)
            while self._bytes > self._capacity:
                self._drop(next(iter(self._entries)))
            return epoch

    def remove(self, keys: Iterable[str]) -> int:
        """Drop entries; returns how many there were."""
        with self._lock:
            return sum([self._drop(key) for key in keys])

    def apply(self, epoch: int, sources: Iterable[str]) -> int:
        """The log says that the sources were invalidated at ``epoch``; returns entries dropped."""
        dropped = 0
        with self._lock:
            for source in sources:
                self._marks[source] = epoch
                self._marks.move_to_end(source)
                for key in list(self._by_source.get(source, ())):
                    if self._entries[key].epoch < epoch:
                        dropped += self._drop(key)
            while len(self._marks) > MARKS_KEPT:
                self._floor = max(self._floor, self._marks.popitem(last=False)[1])
            self.applied = max(self.applied, epoch)
        return dropped

    def open(self, epoch: int) -> None:
        """Start empty at an epoch: what came before it is unknown, so older fills are refused."""
        with self._lock:
            self._clear()
            self.applied = self._floor = epoch
            self._open = True

    def shut(self) -> None:
        """Serve and keep nothing from now on."""
        with self._lock:
            self._open = False
            self._clear()

    def forked(self) -> None:
        """In the child of a fork: nothing follows the log here, so nothing may be served."""
        self._lock = threading.Lock()  # another thread may have held it
        self.shut()

    @property
    def bytes(self) -> int:
        """Bytes of the values held."""
        return self._bytes

    def __len__(self) -> int:
        return len(self._entries)

    def _clear(self) -> None:
        self._entries.clear()
        self._by_source.clear()
        self._marks.clear()
        self._bytes = 0

    def _drop(self, key: str) -> int:
        found = self._entries.pop(key, None)
        if found is None:
            return 0
        self._bytes -= found.entry.size
        for source in found.entry.stamp.sources:
            keys = self._by_source.get(source)
            if keys is not None:
                keys.discard(key)
                if not keys:
                    del self._by_source[source]
        return 1
