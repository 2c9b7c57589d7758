"""``why KEY``: where a key is held, what it was made from, what happened to it last."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cachekeeper.core.keys import check_key
from cachekeeper.core.ports import Cause, Causes, Clock, Edges, Tier
from cachekeeper.core.stamps import Found, Stamp, own_sources, source_of_key


@dataclass(frozen=True, slots=True)
class Held:
    """A tier that holds a fresh entry."""

    tier: str
    size: int
    age_s: float
    expires_in_s: float
    as_of: int  # epoch


@dataclass(frozen=True, slots=True)
class Why:
    """All that is known of a key."""

    key: str
    state: str  # fresh, or missing
    held: list[Held]
    derived_from: list[str]
    dependents: list[str]
    last_invalidation: Cause | None


class Explainer:
    """Answers ``why``."""

    def __init__(self, tiers: Sequence[Tier], edges: Edges, causes: Causes, now: Clock) -> None:
        self._tiers, self._edges, self._causes, self._now = tiers, edges, causes, now

    def why(self, key: str) -> Why:
        """Explain a key. Raises InvalidInput."""
        check_key(key)
        found = [(tier.name, tier.read(key)) for tier in self._tiers]
        held = [self._held(name, f) for name, f in found if f is not None]
        stamps = [f.entry.stamp for _, f in found if f is not None]
        inputs = self._edges.inputs(key)
        return Why(
            key=key,
            state="fresh" if held else "missing",
            held=held,
            derived_from=inputs,
            dependents=self._edges.dependents(key),
            last_invalidation=self._causes.last(_sources(key, inputs, stamps)),
        )

    def _held(self, tier: str, found: Found) -> Held:
        entry, now = found.entry, self._now()
        return Held(
            tier, entry.size, now - entry.filled, entry.expires - now, entry.stamp.as_of.epoch
        )


def _sources(key: str, inputs: Iterable[str], stamps: Iterable[Stamp]) -> list[str]:
    """Everything whose invalidation concerns the key, as far as is known."""
    own = own_sources(key)
    above = [source_of_key(u) for u in inputs]
    return list(dict.fromkeys([*own, *above, *(s for stamp in stamps for s in stamp.sources)]))
