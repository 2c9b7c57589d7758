"""Read-through: near tier to far tier, then the loader, then back through the tiers."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

from cachekeeper.client.accesses import Accesses
from cachekeeper.client.flights import Flights
from cachekeeper.client.sources import Input, collecting, is_collecting, note
from cachekeeper.core.ports.tiers import SharedTier, Tier
from cachekeeper.core.stamps import POISON, Entry, Found, Moment, Stamp, merged, stamp_of_tags
from cachekeeper.core.ttl import NEVER_BEFORE, is_due_early
from cachekeeper.errors import CacheFull, CacheUnavailable
from cachekeeper.store.redis.graph import RedisGraph
from cachekeeper.store.redis.marks import RedisMarks

log = logging.getLogger(__name__)

#: With the server down: how many loaders may work at once, how long one waits for its turn, and
#: how often the server is asked again.
LOADERS_AT_ONCE = 8
WAIT_FOR_ROOM_S = 5.0
KNOCK_EVERY_S = 0.5
#: After a loader has failed early, how long nobody tries that again, and of how many keys.
REST_S = 1.0
RESTING_AT_ONCE = 1000


class Recipe(NamedTuple):
    """How the value of a key is made."""

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


class Lookup(NamedTuple):
    """What is known of a key without making its value. ``age_s`` in seconds, None when missing."""

    state: str  # fresh, stale or missing
    tier: str | None
    age_s: float | None


class ReadThrough:
    """The rules of a read; ``tiers`` from the near one to the far one.

    ``accesses`` counts the hits; ``beta`` says how early values are made anew, 0 for never.
    """

    def __init__(
        self,
        tiers: Sequence[Tier],
        marks: RedisMarks,
        graph: RedisGraph,
        accesses: Accesses | None = None,
        beta: float = 0.0,
    ) -> None:
        self._tiers, self._marks, self._graph = tiers, marks, graph
        self._accesses, self._beta = accesses, beta
        self._resting: dict[str, float] = {}
        self._shared = [tier for tier in tiers if tier.name != "memory"]
        self._flights, self._bypass = Flights(), _Bypass()
        self.statistics = Statistics([tier.name for tier in self._shared])
        self._revive: Callable[[], None] | None = None

    def get(self, key: str, recipe: Callable[[], Recipe]) -> Entry:
        """The value: from the nearest tier that holds it fresh, else made by the loader, once.

        With the cache server down the loader is called, and what it returns is stored nowhere.

        Raises:
            InvalidInput: the loader of the key reads the key.
            CacheUnavailable: the server is down, and too many loaders are at work already.
        """
        if self._revive is not None:
            revive, self._revive = self._revive, None
            revive()
        self._flights.check(key)
        try:
            found = self.peek(key)
            if found is None:
                with self._flights.only_one(key):
                    found = self.peek_counted(key) or self._load(key, recipe())
            else:
                self.count(key, found.entry)
                if self.is_due(key, found.entry):
                    found = self.early(key, found, recipe)
        except CacheUnavailable:
            self.statistics.count("bypass")
            with self._flights.alone(key):
                found = self._bypass.load(recipe())
        note(key, found)
        return found.entry

    def peek_counted(self, key: str) -> Found | None:
        """As ``peek``, and what was found was accessed. Raises CacheUnavailable."""
        found = self.peek(key)
        if found is not None:
            self.count(key, found.entry)
        return found

    def count(self, key: str, entry: Entry) -> None:
        """A tier held this: an access of the value."""
        if self._accesses is not None:
            self._accesses.count(key, entry)

    def is_due(self, key: str, entry: Entry) -> bool:
        """Whether this reader is to make a value anew before it expires; each time it is drawn."""
        if not self._beta:
            return False
        now, scale_s = time.time(), self._beta * entry.load_s
        if entry.expires - now > NEVER_BEFORE * scale_s:
            return False
        drawn = 1 - random.random()  # noqa: S311  # no secret
        due = is_due_early(expires=entry.expires, scale_s=scale_s, now=now, drawn=drawn)
        return due and time.monotonic() >= self._resting.get(key, 0.0)

    def early(self, key: str, found: Found, recipe: Callable[[], Recipe]) -> Found:
        """Make a value anew that is still valid, in the call of the reader whose turn it is.

        All others are served what there is; so is this one if somebody else is at it, or has been,
        or if the loader fails.
        """
        with self._flights.unless_under_way(key) as is_ours:
            if not is_ours:
                return found
            try:
                made_anew = self.newer(key, found) or self._load(key, recipe())
            except Exception as error:  # whatever a loader raises: there is a valid value
                self.failed_early(key, error)
                return found
        return found if made_anew.moment == POISON else made_anew

    def newer(self, key: str, found: Found) -> Found | None:
        """What the far tiers hold if it lives longer: made anew, or extended, by others."""
        for distance, tier in enumerate(self._tiers):
            there = tier.read(key) if tier.name != "memory" else None
            if there is not None and there.entry.expires > found.entry.expires:
                for nearer in reversed(self._tiers[:distance]):
                    nearer.fill(key, there, None)
                return there
        return None

    def failed_early(self, key: str, error: Exception) -> None:
        """Leave the loader of a key alone for a moment."""
        log.warning("not_made_early key=%s", key, exc_info=error)
        if len(self._resting) >= RESTING_AT_ONCE:
            self._resting = {}
        self._resting[key] = time.monotonic() + REST_S

    def forked(self, revive: Callable[[], None]) -> None:
        """In the child of a fork: no lock is anybody's; ``revive`` is called by the first read."""
        self._flights, self._bypass = Flights(), _Bypass()
        self.statistics = Statistics(list(self.statistics.counts))
        self._revive = revive
        if self._accesses is not None:
            self._accesses.forked()

    def peek(self, key: str) -> Found | None:
        """What the tiers hold, copied into the nearer ones; no loader is called.

        Raises:
            CacheUnavailable: memory does not hold it, and the server can't be reached.
        """
        for distance, tier in enumerate(self._tiers):
            if distance or tier.name != "memory":
                self._bypass.check()
            try:
                found = tier.read(key)
            except CacheUnavailable:
                self._bypass.open()
                raise
            if found is not None:
                if tier.name != "memory":
                    self.statistics.count(tier.name)
                for nearer in reversed(self._tiers[:distance]):
                    nearer.fill(key, found, None)
                return found
        return None

    def lookup(self, key: str) -> Lookup:
        """Whether a tier holds the key, and which. Raises CacheUnavailable."""
        stale = False
        for tier in self._tiers:
            there = isinstance(tier, SharedTier) and bool(tier.present([key]))
            found = tier.read(key)
            if found is not None:
                return Lookup("fresh", tier.name, time.time() - found.entry.filled)
            stale = stale or there
        return Lookup("stale" if stale else "missing", None, None)

    def now(self) -> Moment:
        """The moment; take it before a value is made. Raises CacheUnavailable."""
        return self._marks.now()

    def keep(self, key: str, found: Found, inputs: Mapping[str, Input]) -> Found | None:
        """Store what was made from some inputs, unless it is stale by now.

        Returns it as it was stored; None when every tier refused it.

        Raises:
            CacheUnavailable: the server can't be reached.
        """
        if found.moment == POISON:
            return None
        read = {name: each.filled for name, each in inputs.items()}
        stored = None
        for tier in reversed(self._tiers):
            if tier.takes(key, found.entry.size):
                kept = tier.fill(key, stored or found, read)
                if kept is None:  # stale, and no nearer tier may keep it; or no room
                    break
                stored = kept
        if stored and not any(tier.takes(key, found.entry.size) for tier in self._shared):
            with suppress(CacheFull):  # the purge won't find it; its stamp is what counts
                self._graph.link(key, inputs)  # what shared tiers hold may be made from it
        return stored

    def _load(self, key: str, recipe: Recipe) -> Found:
        as_of, begin = self.now(), time.perf_counter()
        with collecting() as inputs:
            body = recipe.load()
        load_s = time.perf_counter() - begin
        self.statistics.count("loader")
        inputs = dict(inputs)  # a thread of the loader may note on
        found = made(body, recipe, as_of, inputs, load_s)
        with suppress(CacheUnavailable):  # lost to the tiers, not to the reader
            found = self.keep(key, found, inputs) or found
        return found


def made(
    body: bytes,
    recipe: Recipe,
    as_of: Moment,
    inputs: Mapping[str, Input],
    load_s: float = 0.0,
) -> Found:
    """What was made as of a moment from some inputs; it is as old as the oldest of them."""
    stamp = merged([stamp_of_tags(recipe.tags, as_of), *(each.stamp for each in inputs.values())])
    now = time.time()
    return Found(Entry(body, stamp, now, now + recipe.ttl_s, load_s), stamp.as_of)


class _Bypass:
    """Past a server that is down, straight to the loaders: a bounded number, without knocking."""

    def __init__(self) -> None:
        self._room = threading.BoundedSemaphore(LOADERS_AT_ONCE)
        self._until = 0.0

    def open(self) -> None:
        """The server has just not answered: leave it alone for a moment."""
        self._until = time.monotonic() + KNOCK_EVERY_S

    def check(self) -> None:
        """Raise CacheUnavailable at once while the server is left alone."""
        if self._until and time.monotonic() < self._until:
            raise CacheUnavailable("cache server: it did not answer a moment ago")

    def load(self, recipe: Recipe) -> Found:
        """Make a value that is stored nowhere, and poisons what is derived from it."""
        nested = is_collecting()  # within the room of the loader that reads it
        if not nested and not self._room.acquire(timeout=WAIT_FOR_ROOM_S):
            raise CacheUnavailable(f"cache server: down, and {LOADERS_AT_ONCE} loaders at work")
        try:
            with collecting():
                body = recipe.load()
        finally:
            if not nested:
                self._room.release()
        now = time.time()
        return Found(Entry(body, Stamp(POISON), now, now), POISON)
