"""What a writer does: one write after the other, of every kind, and the note of what came of it."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeVar

from cachekeeper.core.receipt import Status
from cachekeeper.core.request import Request, make_request
from cachekeeper.core.strategy import CONSISTENCIES, Consistency, Strategy
from tests.chaos.coherence.history import LineLog, Write
from tests.chaos.coherence.world import CALM, HOT, RARE, ROOMS, Register, source_key, tag_of

Choice = TypeVar("Choice")

#: Shares of what is invalidated to say that a source has changed; ``value``: its key alone, and
#: nothing derived from it.
SEEDS: Final = {"key": 82, "tag": 10, "value": 8}
SEEDS_OF_ROOMS: Final = {"key": 40, "namespace": 42, "tag": 10, "value": 8}
#: Shares of writes: of a cold source, of more than one at a time.
COLD, BATCH = 0.05, 0.15
#: After how long a source is written again that is written seldom: soon, so that something of it
#: is declared too late; or when that would have been seen.
RARE_S: Final = ((0.5, 3.0), (7.0, 11.0))
#: The same of a source that is written at one level only: when its bound has passed.
CALM_S: Final = {
    level: (CONSISTENCIES[level].delay_s + 2.0, CONSISTENCIES[level].delay_s + 6.0)
    for level in Consistency
}
FIRST_S: Final = 4.0
LEVELS: Final = {Consistency.STRICT: 84, Consistency.EVENTUAL: 8, Consistency.RELAXED: 8}
#: What waits, waits for beat: only writers whose requests go to the workers choose it.
STRATEGIES: Final = {
    "service": {Strategy.IMMEDIATE: 75, Strategy.LAZY: 25},
    "client": {
        Strategy.IMMEDIATE: 45,
        Strategy.LAZY: 20,
        Strategy.SCHEDULED: 17,
        Strategy.BACKGROUND: 18,
    },
}

Invalidate = Callable[[Sequence[Request]], Status]


class Writer:
    """Writes one set of sources, one write after the other."""

    def __init__(self, name: str, kind: str, sources: Sequence[int], chance: random.Random) -> None:
        self._name, self._kind, self._sources, self._chance = name, kind, sources, chance
        self._strategies = STRATEGIES["service" if kind == "service" else "client"]
        self._next = {
            source: time.monotonic() + chance.uniform(0, FIRST_S)
            for source in sources
            if source in RARE or source in CALM
        }

    def write(self, register: Register, log: LineLog, invalidate: Invalidate) -> bool:
        """One write, or some at a time, if one is due; whether it was without an error."""
        sources = self._choose()
        if not sources:
            return True
        calm = CALM.get(sources[0])
        level = Consistency(calm) if calm else self._any(LEVELS)
        strategy = self._any(self._strategies)
        seeds = self._seeds(sources)
        requests = [
            make_request(
                id=uuid.uuid4().hex,
                at=time.time(),
                strategy=strategy,
                consistency=level,
                cascade=seed != "value",
                **named,
            )
            for seed, named in seeds
        ]
        called = time.monotonic()
        begun = [
            Write(
                self._name,
                source,
                register.write(source),
                level,
                called,
                called,
                "begun",
                strategy=strategy,
                seed=seeds[min(place, len(seeds) - 1)][0],
                by=self._kind,
            )
            for place, source in enumerate(sources)
        ]
        for write in begun:
            log.add(write)
        error = ""
        try:
            status = str(invalidate(requests))
        except Exception as caught:
            status, error = "failed", f"{type(caught).__name__}: {caught}"[:200]
        returned = time.monotonic()
        for write in begun:
            log.add(write._replace(returned=returned, status=status, error=error))
        return not error

    def _pause_s(self, source: int) -> float:
        calm = CALM.get(source)
        chosen = CALM_S[Consistency(calm)] if calm else self._chance.choice(RARE_S)
        return self._chance.uniform(*chosen)

    def _any(self, weights: Mapping[Choice, int]) -> Choice:
        return self._chance.choices(list(weights), list(weights.values()))[0]

    def _choose(self) -> list[int]:
        for source, at in self._next.items():
            if time.monotonic() > at:
                self._next[source] = time.monotonic() + self._pause_s(source)
                return [source]
        cold = [s for s in self._sources if s >= HOT and s not in self._next]
        if cold and self._chance.random() < COLD:
            return [self._chance.choice(cold)]
        hot = [source for source in self._sources if source < HOT]
        if not hot:
            return []
        count = min(len(hot), 2) if self._chance.random() < BATCH else 1
        return self._chance.sample(hot, count)

    def _seeds(self, sources: Sequence[int]) -> list[tuple[str, dict[str, Sequence[str]]]]:
        """What to invalidate, in one request or in one each: (its kind, the names)."""
        if len(sources) > 1 and self._chance.random() < 0.5:
            first, *rest = sources
            tag = [tag_of(first)]
            return [("several", {"tags": tag, "keys": [source_key(source) for source in rest]})]
        return [self._seed(source) for source in sources]

    def _seed(self, source: int) -> tuple[str, dict[str, Sequence[str]]]:
        key = source_key(source)
        kind = self._any(SEEDS_OF_ROOMS if source in ROOMS else SEEDS)
        if kind == "tag":
            return kind, {"tags": [tag_of(source)]}
        if kind == "namespace":
            return kind, {"namespaces": [key.partition(":")[0]]}
        return kind, {"keys": [key]}
