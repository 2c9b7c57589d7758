"""The memory of one process: the nearest tier, bounded in bytes, kept honest by the log.

An entry leaves when the log says that one of its sources was invalidated (a reverse index finds
it), when it expires, or when the least recently used must make room. While the process has not
heard from the server for a lease, nothing is served from here.

The bound is on what the process really holds: values, keys and sources, and for what holds them the
figures below, measured on CPython 3.11 by ``tracemalloc`` (of tables that grow by leaps, nearly the
most that one takes). ``tests/unit/test_memory_bound.py`` holds them to it.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable
from typing import Final

from cachekeeper.core.looked import Looked
from cachekeeper.core.ports.tiers import NO_INPUTS, Inputs
from cachekeeper.core.stamps import Entry, Found, Moment, named_key, own_sources

ENTRY_BYTES: Final = 640  # the tuples and numbers of an entry, its place in the order of use
SOURCE_BYTES: Final = 232  # a source in the index
MEMBER_BYTES: Final = 56  # a key that it leads to
MARK_BYTES: Final = 208  # a mark, its place in their order
BODY_BYTES: Final = 48  # a value of no bytes
#: Of the bound, the share that marks may take. They are remembered to refuse late fills; those
#: that there is no room for are covered by a floor.
MARKS_SHARE: Final = 1 / 8


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
        self._by_source: dict[str, dict[str, None]] = {}  # of keys: smaller than sets of them
        self._bytes = 0  # of the entries and the index
        self._marks: OrderedDict[str, int] = OrderedDict()
        self._mark_bytes = 0
        self._floor = 0
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

    def look(self, key: str) -> Looked | None:
        """What it holds under a key, servable or not; no use is counted."""
        with self._lock:
            found = self._entries.get(key)
            leased = self._clock() < self.lease_until
        if found is None:
            return None
        entry, stale = found.entry, ""
        if entry.expires <= time.time():
            stale = "expired"
        elif not leased:
            stale = "the server was not heard from for a lease"
        return Looked(entry.size, entry.stamp, entry.filled, entry.expires, stale)

    def is_pinned(self, key: str) -> bool:
        """Whether the key is never evicted for room."""
        with self._lock:
            return key in self._pinned

    def takes(self, key: str, size: int) -> bool:
        """Whether a value of a size can fit."""
        return ENTRY_BYTES + _text(key) + BODY_BYTES + size <= self._capacity

    def fill(
        self,
        key: str,
        found: Found,
        inputs: Inputs | None = NO_INPUTS,  # noqa: ARG002  # the graph is the far tiers'
    ) -> Found | None:
        """Keep an entry unless a source of it was invalidated since it was found valid."""
        entry, moment = found
        charge = _charge(key, entry)
        with self._lock:
            self._drop(key)
            marks = map(self._marks.get, (*own_sources(key), *entry.stamp.sources))
            late = (
                moment.incarnation != self.applied.incarnation
                or moment.epoch < self._floor
                or any(mark is not None and mark > moment.epoch for mark in marks)
            )
            if late or not self._open or charge > self._capacity:
                return None
            self._entries[key] = found
            self._bytes += charge
            for source in _indexed(key, entry):
                self._index(source, key)
            self._make_room()
            return found if key in self._entries else None

    def prolong(self, key: str, filled: float, expires: float) -> None:
        """Keep an entry, if it is the one filled at a time, for as long as the far tiers do."""
        with self._lock:
            found = self._entries.get(key)
            if found is not None and found.entry.filled == filled:
                self._entries[key] = found._replace(entry=found.entry._replace(expires=expires))

    def pin(self, key: str) -> bool:
        """Never evict a key for room; False when pins would take more than half of the room."""
        with self._lock:
            held = [k for k in self._pinned | {key} if k in self._entries]
            if sum(_charge(k, self._entries[k].entry) for k in held) > self._capacity / 2:
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

    def apply(self, epoch: int, sources: Collection[str]) -> int:
        """The log says that the sources were invalidated at ``epoch``; returns entries dropped."""
        dropped = 0
        with self._lock:
            for source in sources:
                self._remember(source, epoch)
            for key in self._made_from(sources):
                if self._entries[key].moment.epoch < epoch:
                    dropped += self._drop(key)
            self._make_room()
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
        """Bytes held, of values and of all that is kept about them."""
        return self._bytes + self._mark_bytes

    def __len__(self) -> int:
        return len(self._entries)

    def _made_from(self, sources: Collection[str]) -> set[str]:
        """The keys held that any of the sources is a source of."""
        # Most keys are no source of another: the index needs no line for their own name.
        named = self._entries.keys() & map(named_key, sources)
        return named.union(*[self._by_source[each] for each in self._by_source.keys() & sources])

    def _index(self, source: str, key: str) -> None:
        keys = self._by_source.get(source)
        if keys is None:
            keys = self._by_source[source] = {}
            self._bytes += SOURCE_BYTES + _text(source)
        keys[key] = None
        self._bytes += MEMBER_BYTES

    def _remember(self, source: str, epoch: int) -> None:
        if source not in self._marks:
            self._mark_bytes += MARK_BYTES + _text(source)
        self._marks[source] = epoch
        self._marks.move_to_end(source)

    def _make_room(self) -> None:
        """Forget the oldest marks beyond their share, then entries until the bound is kept."""
        while self._mark_bytes > self._capacity * MARKS_SHARE:
            source, epoch = self._marks.popitem(last=False)
            self._mark_bytes -= MARK_BYTES + _text(source)
            self._floor = max(self._floor, epoch)
        while self._entries and self.bytes > self._capacity:
            self._drop(self._victim())

    def _victim(self) -> str:
        """The least recently used entry; a pinned one only if there is no other."""
        unpinned = (key for key in self._entries if key not in self._pinned)
        return next(unpinned, None) or next(iter(self._entries))

    def _clear(self) -> None:
        self._entries.clear()
        self._by_source.clear()
        self._marks.clear()
        self._bytes = self._mark_bytes = 0

    def _drop(self, key: str) -> int:
        found = self._entries.pop(key, None)
        if found is None:
            return 0
        self._bytes -= _charge(key, found.entry)
        for source in _indexed(key, found.entry):
            keys = self._by_source[source]
            del keys[key]
            self._bytes -= MEMBER_BYTES
            if not keys:
                del self._by_source[source]
                self._bytes -= SOURCE_BYTES + _text(source)
        return 1


def _charge(key: str, entry: Entry) -> int:
    """What an entry takes beside the index."""
    sources = entry.stamp.sources
    texts = _text(key) + sum(map(_text, sources)) + 8 * len(sources)
    return ENTRY_BYTES + BODY_BYTES + entry.size + texts


def _text(text: str) -> int:
    """What a text takes; not as ``sys.getsizeof``, which tells more once it was encoded."""
    return 64 + len(text) if text.isascii() else 88 + 4 * len(text)


def _indexed(key: str, entry: Entry) -> set[str]:
    """The sources by which the index has to find an entry; by its own name it is found anyway."""
    return {own_sources(key)[2], *entry.stamp.sources}
