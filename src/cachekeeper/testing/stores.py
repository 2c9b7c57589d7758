"""What the servers keep for a cache, in this process: the same methods, as far as it calls them."""

from __future__ import annotations

import math
import threading
from collections.abc import Collection, Iterable, Iterator, Sequence
from operator import attrgetter

from cachekeeper.core.ports.tiers import NO_INPUTS, Inputs
from cachekeeper.core.receipt import Receipt
from cachekeeper.core.request import Request
from cachekeeper.core.stamps import Moment
from cachekeeper.store.memory import MemoryTier
from cachekeeper.store.redis.marks import Marked


class Shelf(MemoryTier):
    """The memory tier of a process that is never cut off."""

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity, clock=lambda: 0.0)
        self.lease_until = math.inf
        self.open(Moment(1, 0))

    def made_from(self, sources: Collection[str]) -> list[str]:
        """The keys held that any of the sources is a source of, those made first at the front."""
        with self._lock:
            keys = self._made_from(sources)
            # A value has all the sources of its inputs, and theirs: more than any of them.
            depth = {key: len(self._entries[key].entry.stamp.sources) for key in keys}
        return sorted(keys, key=lambda key: (depth[key], key))


class Marks:
    """Which source was invalidated last, as ``RedisMarks``; the clock is the shelf's."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._last: dict[str, Marked] = {}
        self._groups: dict[str, set[str]] = {}  # by member

    def now(self) -> Moment:
        """The moment."""
        return self._shelf.applied

    def mark(self, request: Request, now: float) -> tuple[Moment, list[str]]:
        """Make stale what was made from the request's seeds: (the moment, the keys dropped)."""
        sources = list(request.seeds)
        for source in sources:  # it grows meanwhile
            sources += sorted(self._groups.get(source, set()).difference(sources))
        epoch = self.now().epoch + 1
        how = (request.strategy, request.reason, request.by)
        marked = Marked(epoch, request.id, now, *how, tuple(sources))
        self._last.update(dict.fromkeys(sources, marked))
        stale = self._shelf.made_from(sources)
        self._shelf.apply(epoch, sources)
        return self.now(), stale

    def declare(self, source: str, inputs: Iterable[str], as_of: Moment, _expires: float) -> bool:
        """Say that what ``source`` stands for was made from more; False if that is stale by now."""
        fresh = True
        for each in inputs:
            self._groups.setdefault(each, set()).add(source)
            fresh = fresh and (each not in self._last or self._last[each].epoch <= as_of.epoch)
        return fresh

    def last(self, sources: Iterable[str]) -> Marked | None:
        """The latest invalidation of any of the sources."""
        found = [self._last[source] for source in sources if source in self._last]
        return max(found, key=lambda marked: marked.epoch, default=None)


class Graph:
    """Which key was derived from which, as ``RedisGraph``."""

    def __init__(self) -> None:
        self._inputs: dict[str, list[str]] = {}

    def link(
        self,
        key: str,
        inputs: Iterable[str],
        *,
        more: bool = False,
        read: Inputs = NO_INPUTS,  # noqa: ARG002  # nothing purges by this graph
        sources: Iterable[str] = (),  # noqa: ARG002
    ) -> None:
        """Say what a key was derived from, instead of what was said before or ``more``."""
        before = self.inputs(key) if more else []
        self._inputs[key] = list(dict.fromkeys([*before, *inputs]))

    def inputs(self, key: str, limit: int | None = None) -> list[str]:
        """What a key was derived from, or some of it."""
        return sorted(self._inputs.get(key, ()))[:limit]

    def dependents(self, key: str, limit: int | None = None) -> list[str]:
        """What was derived from a key, or some of it."""
        return sorted(v for v, inputs in self._inputs.items() if key in inputs)[:limit]

    def degrees(self, key: str) -> tuple[int, int]:
        """How many inputs and dependents a key has."""
        return len(self.inputs(key)), len(self.dependents(key))


class Lifetimes:
    """When keys expire, as ``RedisExpiry``: the kit forgets what is gone."""

    def when(self, _key: str) -> None:
        """Not known."""

    def evictions(self) -> int:
        """No server takes values away."""
        return 0


class Devices:
    """As ``RedisDevices``; the kit has none."""

    def ids(self) -> list[str]:
        """None."""
        return []


class Receipts:
    """What became of each request, as ``RedisReceipts``."""

    def __init__(self) -> None:
        self._receipts: dict[str, str] = {}
        self._saved = threading.Condition()

    def save(self, receipts: Iterable[Receipt]) -> None:
        """Keep receipts."""
        with self._saved:
            self._receipts.update((receipt.id, receipt.to_json()) for receipt in receipts)
            self._saved.notify_all()

    def open(self, receipt: Receipt) -> None:
        """Keep the receipt of a request that is about to be sent."""
        self.save([receipt])

    def load(self, request_id: str) -> Receipt | None:
        """A receipt by the id of its request."""
        found = self._receipts.get(request_id)
        return None if found is None else Receipt.from_json(found)

    def newest(self, since: float = 0.0) -> Iterator[Receipt]:
        """All receipts of requests made since then, newest first."""
        found = sorted(map(Receipt.from_json, self._receipts.values()), key=attrgetter("submitted"))
        return (receipt for receipt in reversed(found) if receipt.submitted >= since)

    def listen(self, _request_id: str, timeout_s: float) -> None:
        """Wait until any receipt is saved, or a while (seconds)."""
        with self._saved:
            self._saved.wait(timeout_s)


class Prepared:
    """What units of work recorded, as ``RedisPrepared``; the kit outlives no transaction."""

    def prepare(self, requests: Sequence[Request], deadline_s: float) -> None:
        """Record requests: nobody looks for them but who releases them."""

    def release(self, requests: Sequence[Request]) -> list[Request]:
        """The requests to be done now."""
        return list(requests)

    def cancel(self, ids: Iterable[str]) -> int:
        """They are not to be done; returns how many were not yet."""
        return len(list(ids))

    def forget(self, ids: Sequence[str]) -> None:
        """They were sent."""
