"""Read-through: near tier to far tier, then the loader, then back through the tiers."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from cachekeeper.client.sources import collecting, note
from cachekeeper.core.ports import Tier
from cachekeeper.core.stamps import POISON, Entry, Found, own_stamp
from cachekeeper.errors import CacheUnavailable
from cachekeeper.store.redis.graph import RedisGraph
from cachekeeper.store.redis.marks import RedisMarks


@dataclass(frozen=True, slots=True)
class Recipe:
    """How the value of a key is made."""

    namespace: str
    load: Callable[[], bytes]
    ttl_s: float
    tags: tuple[str, ...] = ()


class Statistics:
    """Reads of this process, by where they ended."""

    def __init__(self, names: Sequence[str]) -> None:
        self.counts = dict.fromkeys([*names, "loader", "bypass"], 0)
        self._lock = threading.Lock()

    def count(self, name: str) -> None:
        """One more read ended there."""
        with self._lock:
            self.counts[name] += 1


class ReadThrough:
    """The rules of a read; ``tiers`` from the near one to the far one."""

    def __init__(self, tiers: Sequence[Tier], marks: RedisMarks, graph: RedisGraph) -> None:
        self._tiers, self._marks, self._graph = tiers, marks, graph
        self._flights = _Flights()
        self.statistics = Statistics([tier.name for tier in tiers])

    def get(self, key: str, recipe: Recipe) -> Entry:
        """The value: from the nearest tier that holds it fresh, else made by the loader, once.

        With the cache server down the loader is called, and what it returns is stored nowhere.
        """
        try:
            found = self.peek(key)
            if found is None:
                with self._flights.only_one(key):
                    found = self.peek(key) or self._load(key, recipe)
        except CacheUnavailable:
            found = self._bypass(key, recipe)
        note(key, found)
        return found.entry

    def peek(self, key: str) -> Found | None:
        """What the tiers hold, copied into the nearer ones; no loader is called."""
        for distance, tier in enumerate(self._tiers):
            found = tier.read(key)
            if found is not None:
                self.statistics.count(tier.name)
                for nearer in reversed(self._tiers[:distance]):
                    nearer.fill(key, found)
                return found
        return None

    def _load(self, key: str, recipe: Recipe) -> Found:
        as_of = self._marks.epoch()
        with collecting() as inputs:
            body = recipe.load()
        self.statistics.count("loader")
        stamp = own_stamp(key, recipe.namespace, recipe.tags, as_of)
        for handed_on in inputs.values():
            stamp = stamp.merged(handed_on)
        now = time.time()
        found = Found(Entry(body, stamp, now, now + recipe.ttl_s), stamp.as_of)
        if stamp.as_of != POISON:
            with suppress(CacheUnavailable):  # lost to the tiers, not to the reader
                self._store(key, found, list(inputs))
        return found

    def _store(self, key: str, found: Found, inputs: list[str]) -> None:
        entry, epoch, stored = found.entry, found.epoch, False
        for tier in reversed(self._tiers):
            at = tier.fill(key, Found(entry, epoch))
            if at is not None:
                epoch, stored = at, True
        if stored:
            self._graph.link(key, inputs)

    def _bypass(self, key: str, recipe: Recipe) -> Found:
        with collecting():
            body = recipe.load()
        self.statistics.count("bypass")
        stamp = own_stamp(key, recipe.namespace, recipe.tags, POISON)
        now = time.time()
        return Found(Entry(body, stamp, now, now), POISON)


class _Flights:
    """One loader at a time for a key; the others wait and find its value in the tiers."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._flights: dict[str, tuple[threading.RLock, int]] = {}

    @contextmanager
    def only_one(self, key: str) -> Iterator[None]:
        with self._lock:
            lock, users = self._flights.get(key, (threading.RLock(), 0))
            self._flights[key] = (lock, users + 1)
        try:
            with lock:
                yield
        finally:
            with self._lock:
                lock, users = self._flights.pop(key)
                if users > 1:
                    self._flights[key] = (lock, users - 1)
