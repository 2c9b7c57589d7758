"""The memory of one process: the nearest tier, bounded in bytes, kept honest by the log.

An entry leaves when the log says that one of its sources was invalidated (a reverse index finds
it), when it expires, or when the least recently used must make room. While the process has not
heard from the server for a lease, nothing is served from here.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable

from cachekeeper.core.ports import NO_INPUTS, Inputs
from cachekeeper.core.stamps import Entry, Found, Moment, own_sources

#: Marks remembered to refuse late fills; older ones are covered by a floor.
MARKS_KEPT = 10_000


class MemoryTier:
    """Entries of this process; ``clock`` is the one that leases are counted on, in seconds."""

    name = "memory"

    def __init__(self, capacity: int, clock: Callable[[], float]) -> None:
        self._capacity, self._clock = capacity, clock
        self.lease_until = 0.0  # on ``clock``
        self.applied = Moment(0, 0)  # up to which the log was applied
        self.hits = 0  # counted under the lock that a read takes anyway
        self._lock = threading.Lock()
        self._entries: OrderedDict[str, Found] = OrderedDict()
        self._by_source: dict[str, set[str]] = {}
        self._marks: OrderedDict[str, int] = OrderedDict()
        self._floor = 0
        self._bytes = 0
        self._open = False
        self._pinned: set[str] = set()

    def hit(self, key: str) -> Entry | None:
        """The entry if this process may serve it: the read that must cost next to nothing."""
        with self._lock:
            found = self._entries.get(key)
            if found is None or self._clock() >= self.lease_until:
                return None
            entry = found[0]
            if entry[3] <= time.time():
                self._drop(key)
                return None
            self._entries.move_to_end(key)
            self.hits += 1
            return entry

    def read(self, key: str) -> Found | None:
        """The entry if this process may serve it, valid as of what was applied of the log."""
        applied = self.applied  # before: what is applied meanwhile is not vouched for
        entry = self.hit(key)
        return None if entry is None else Found(entry, applied)

    def takes(self, key: str, size: int) -> bool:  # noqa: ARG002  # all keys alike
        """Whether a value of a size can fit."""
        return size <= self._capacity

    def fill(
        self,
        key: str,
        found: Found,
        inputs: Inputs | None = NO_INPUTS,  # noqa: ARG002  # the graph is the far tiers'
    ) -> Found | None:
        """Keep an entry unless a source of it was invalidated since it was found valid."""
        (entry, moment), sources = found, _indexed(key, found)
        with self._lock:
            self._drop(key)
            marks = map(self._marks.get, sources)
            late = (
                moment.incarnation != self.applied.incarnation
                or moment.epoch < self._floor
                or any(mark is not None and mark > moment.epoch for mark in marks)
            )
            if late or not self._open or not self.takes(key, entry.size):
                return None
            self._entries[key] = found
            self._bytes += entry.size
            for source in sources:
                self._by_source.setdefault(source, set()).add(key)
            for victim in self._victims():
                self._drop(victim)
            return found

    def pin(self, key: str) -> bool:
        """Never evict a key for room; False when pins would take more than half of the room."""
        with self._lock:
            held = (self._entries[k].entry.size for k in self._pinned | {key} if k in self._entries)
            if sum(held) > self._capacity / 2:
                return False
            self._pinned.add(key)
            return True

    def unpin(self, key: str) -> None:
        """Let a key be evicted again."""
        with self._lock:
            self._pinned.discard(key)

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
                    if self._entries[key].moment.epoch < epoch:
                        dropped += self._drop(key)
            while len(self._marks) > MARKS_KEPT:
                self._floor = max(self._floor, self._marks.popitem(last=False)[1])
            self.applied = self.applied._replace(epoch=max(self.applied.epoch, epoch))
        return dropped

    def open(self, moment: Moment) -> None:
        """Start empty at a moment: what came before is unknown, so older fills are refused."""
        with self._lock:
            self._clear()
            self.applied, self._floor = moment, moment.epoch
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

    def _victims(self) -> list[str]:
        """The least recently used entries that have to go; pinned ones only if nothing else can."""
        excess, victims = self._bytes - self._capacity, list[str]()
        for pinned in (False, True):
            for key, found in self._entries.items():
                if excess <= 0:
                    return victims
                if (key in self._pinned) is pinned:
                    victims.append(key)
                    excess -= found.entry.size
        return victims

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
        for source in _indexed(key, found):
            keys = self._by_source.get(source)
            if keys is not None:
                keys.discard(key)
                if not keys:
                    del self._by_source[source]
        return 1


def _indexed(key: str, found: Found) -> tuple[str, ...]:
    return (*own_sources(key), *found.entry.stamp.sources)
