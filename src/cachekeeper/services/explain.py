"""``why KEY``: where a key is held and what it was made from; what happened to it last."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from cachekeeper.core.keys import check_key
from cachekeeper.core.looked import Looked
from cachekeeper.core.ports.devices import Devices
from cachekeeper.core.ports.pipeline import Cause, Causes, Edges
from cachekeeper.core.ports.tiers import Clock, Lifetimes, LookedTier
from cachekeeper.core.stamps import own_sources, source_of_tag
from cachekeeper.services.on_devices import OnDevice, on_devices

#: Sources and dependents that are named.
NAMED: Final = 100
#: Keys further up whose invalidations are looked for when no value tells its sources.
CLIMBED: Final = 200


@dataclass(frozen=True, slots=True)
class Held:
    """An entry of a tier."""

    tier: str
    size: int
    age_s: float
    expires_in_s: float
    as_of: int  # epoch
    stale: str  # why it is not served, in words; '' when it is


@dataclass(frozen=True, slots=True)
class Missing:
    """Why no tier holds a key, as far as can be told.

    ``cause`` is one of ``invalidated``, ``expired``, ``evicted`` (by the server, for room),
    ``never filled`` and ``unknown``; ``at`` is when, if that is known.
    """

    cause: str
    at: float | None
    said: str


@dataclass(frozen=True, slots=True)
class Why:
    """All that is known of a key."""

    key: str
    state: str  # fresh, stale or missing
    held: list[Held]
    sources: list[str]  # what its values say that they were made from
    derived_from: list[str]  # at most 100
    derived_from_count: int
    dependents: list[str]  # at most 100
    dependents_count: int
    last_invalidation: Cause | None
    missing: Missing | None
    pinned: bool  # in the memory of this process
    devices: list[OnDevice]  # of a file


class Explainer:
    """Answers ``why``; ``longest_s`` is the longest life that a value may have."""

    def __init__(
        self,
        *,
        tiers: Sequence[LookedTier],
        edges: Edges,
        causes: Causes,
        lifetimes: Lifetimes,
        devices: Devices,
        longest_s: float,
        now: Clock,
    ) -> None:
        self._tiers, self._edges, self._causes = tiers, edges, causes
        self._lifetimes, self._devices = lifetimes, devices
        self._longest_s, self._now = longest_s, now

    def why(
        self,
        key: str,
        *,
        lifetime_s: float | None = None,
        tags: Iterable[str] = (),
        pinned: bool = False,
    ) -> Why:
        """Explain a key, of whose values the lifetime and the tags may be known.

        Raises:
            InvalidInput: the key is malformed.
            CacheUnavailable: the server can't be reached.
        """
        check_key(key)
        found = {tier.name: tier.look(key) for tier in self._tiers}
        held = [self._held(name, looked) for name, looked in found.items() if looked]
        stamps = [looked.stamp for looked in found.values() if looked]
        named = dict.fromkeys(source for stamp in stamps for source in stamp.sources)
        above = named if held else self._climbed(key)
        own = [*own_sources(key), *map(source_of_tag, tags)]
        last = self._causes.last(dict.fromkeys([*own, *above]))
        inputs, dependents = self._edges.degrees(key)
        fresh = any(not each.stale for each in held)
        return Why(
            key=key,
            state="fresh" if fresh else "stale" if held else "missing",
            held=held,
            sources=list(named),
            derived_from=self._edges.inputs(key, NAMED),
            derived_from_count=inputs,
            dependents=self._edges.dependents(key, NAMED),
            dependents_count=dependents,
            last_invalidation=last,
            missing=None if held else self._missing(key, last, lifetime_s),
            pinned=pinned,
            devices=on_devices(key, self._devices, self._causes, self._now()),
        )

    def _held(self, tier: str, looked: Looked) -> Held:
        now = self._now()
        return Held(
            tier,
            looked.size,
            now - looked.filled,
            looked.expires - now,
            looked.stamp.as_of.epoch,
            looked.stale,
        )

    def _climbed(self, key: str) -> list[str]:
        """What a value of the key would have been made from, as far as the graph knows."""
        seen, waiting = {key}, [key]
        for each in waiting:  # it grows meanwhile
            if len(waiting) >= CLIMBED:
                break
            more = [u for u in self._edges.inputs(each, CLIMBED) if u not in seen]
            seen.update(more)
            waiting += more
        return [source for each in waiting[1:] for source in own_sources(each)[1:]]

    def _missing(self, key: str, last: Cause | None, lifetime_s: float | None) -> Missing:
        """When a value was filled is not known any more: it lived for its lifetime at most."""
        expires, now = self._lifetimes.when(key), self._now()
        if expires is None and last is None:
            said = "it was never filled, or its time has passed and that is forgotten"
            return Missing("never filled", None, said)
        if expires is None or (
            last is not None and expires - (lifetime_s or self._longest_s) <= last.at <= expires
        ):
            assert last is not None
            said = "it was invalidated, and not made anew since, as far as is known"
            return Missing("invalidated", last.at, said)
        if expires <= now:
            return Missing("expired", expires, "its lifetime has passed")
        evictions = self._lifetimes.evictions()
        if evictions == 0:
            said = (
                "it is gone before its time, though the server has taken nothing away for room: "
                "perhaps made before the server began anew, or derived from what is not known here"
            )
            return Missing("unknown", None, said)
        number = "some" if evictions is None else f"{evictions:,}"
        said = (
            "it is gone before its time, and no invalidation of it is on record: the server took "
            f"it away for room, as {number} values since it started"
        )
        return Missing("evicted", None, said)
