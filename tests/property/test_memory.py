"""The memory tier against a plain model: a dictionary, a list of marks and two clocks."""

from __future__ import annotations

from dataclasses import dataclass
from unittest.mock import patch

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from cachekeeper.core.stamps import Entry, Found, Moment, Stamp, own_sources
from cachekeeper.store.memory import MemoryTier

CAPACITY = 20_000
FITS = CAPACITY // 2  # whatever marks there are, and whatever is kept about an entry
LEASE_S = 10.0

KEYS = [f"a:{i}" for i in range(6)]

keys = st.sampled_from(KEYS)
sources = st.sampled_from([*(f"k:a:{i}" for i in range(4)), "t:x", "n:a"])
several = st.sets(sources, min_size=1, max_size=3)
sizes = st.sampled_from([0, 1, 2000, 5000, FITS, CAPACITY, 5 * CAPACITY])


@dataclass
class Known:
    """What the model knows of a value that was taken in."""

    body: bytes
    sources: set[str]
    epoch: int
    expires: float


class Memory(RuleBasedStateMachine):
    """One process: its tier, the log that it follows, its lease."""

    def __init__(self) -> None:
        super().__init__()
        self.now, self.clock = 1000.0, 50.0
        self.tier = MemoryTier(CAPACITY, lambda: self.clock)
        self.time = patch("cachekeeper.store.memory.time.time", lambda: self.now)
        self.time.start()
        self.incarnation = 1
        self.marks: list[tuple[int, str]] = []  # all there ever were
        self.model: dict[str, Known] = {}
        self.server = 0  # the epoch of the server
        self.log: list[tuple[int, set[str]]] = []  # marked, and not yet applied here
        self.floor = 0
        self.open = False
        self.filled = 0

    @initialize(epoch=st.integers(0, 5))
    def join(self, epoch: int) -> None:
        self.server = epoch
        self._rejoin()

    @rule()
    def rejoin(self) -> None:
        """The log was too short: start empty at the server's epoch."""
        self._rejoin()

    @rule(ahead=st.integers(0, 3))
    def server_came_back(self, ahead: int) -> None:
        """A new incarnation: what was, and all that is on its way, belongs to another history."""
        self.incarnation += 1
        self.server += ahead
        self.marks.clear()
        self._rejoin()

    def moment(self, epoch: int) -> Moment:
        return Moment(self.incarnation, epoch)

    def _rejoin(self) -> None:
        self.tier.open(self.moment(self.server))
        self.floor, self.open = self.server, True
        self.log.clear()
        self.model.clear()
        self.tier.lease_until = self.clock + LEASE_S

    @rule(marked=several)
    def mark(self, marked: set[str]) -> None:
        """Somebody invalidates; this process has not heard of it yet."""
        self.server += 1
        self.log.append((self.server, marked))
        for source in marked:
            self.marks.append((self.server, source))

    @precondition(lambda self: self.log)
    @rule()
    def follow(self) -> None:
        """The next line of the log arrives."""
        epoch, marked = self.log.pop(0)
        self.tier.apply(epoch, marked)
        for key, known in list(self.model.items()):
            if known.sources & marked and known.epoch < epoch:
                del self.model[key]

    @rule(
        key=keys,
        made_from=several,
        size=sizes,
        ago=st.integers(0, 4),
        life=st.integers(-1, 30),
        histories_ago=st.sampled_from([0, 0, 0, 1]),
    )
    def fill(
        self,
        key: str,
        made_from: set[str],
        size: int,
        ago: int,
        life: int,
        histories_ago: int,
    ) -> None:
        """A value that was found valid some epochs ago arrives, in time or too late."""
        self.filled += 1
        epoch = max(0, self.server - ago)
        body = (b"%d " % self.filled).ljust(size, b".")[:size]
        moment = Moment(self.incarnation - histories_ago, epoch)
        stamp = Stamp(moment, tuple(sorted(made_from)))
        found = Found(Entry(body, stamp, self.now, self.now + life), moment)
        stored = self.tier.fill(key, found)
        made_from = {*made_from, *own_sources(key)}
        known_here = self.server if not self.log else self.log[0][0] - 1
        late = epoch < self.floor or any(
            epoch < at <= known_here and source in made_from for at, source in self.marks
        )
        if late or histories_ago or not self.open or size > FITS:
            assert stored is None
        else:
            assert stored == found
            self.model[key] = Known(body, made_from, epoch, self.now + life)
            return
        self.model.pop(key, None)

    @precondition(lambda self: self.open)
    @rule(key=keys, made_from=several, before=st.booleans())
    def overlap(self, key: str, made_from: set[str], before: bool) -> None:
        """A value arrives just before or just after a mark of its sources is applied."""
        while self.log:
            self.follow()
        moment = self.moment(self.server)
        stamp = Stamp(moment, tuple(sorted(made_from)))
        found = Found(Entry(b"x", stamp, self.now, self.now + 30), moment)
        made_from = {*made_from, *own_sources(key)}
        if before:
            assert self.tier.fill(key, found) == found
            self.model[key] = Known(b"x", made_from, moment.epoch, self.now + 30)
        self.mark({min(made_from)})
        self.follow()
        if not before:
            assert self.tier.fill(key, found) is None
            self.model.pop(key, None)
        assert self.tier.read(key) is None

    def read(self, key: str) -> None:
        found = self.tier.read(key)
        known = self.model.get(key)
        if found is None:
            return  # room may have been needed: being there is not promised, but see `holds`
        assert self.open
        assert self.clock < self.tier.lease_until
        assert known is not None
        assert found.entry.body == known.body
        assert self.now < known.expires
        assert found.moment == self.tier.applied <= self.moment(self.server)

    @rule(key=keys, size=st.integers(0, FITS))
    def holds(self, key: str, size: int) -> None:
        """What was taken in last is there, if the process may serve at all."""
        moment = self.moment(self.server)
        entry = Entry(b"y" * size, Stamp(moment, ("k:b:9",)), self.now, self.now + 5)
        if self.tier.fill(key, Found(entry, moment)) is not None:
            made_from = {"k:b:9", *own_sources(key)}
            self.model[key] = Known(entry.body, made_from, self.server, self.now + 5)
            may_serve = self.clock < self.tier.lease_until
            found = self.tier.read(key)
            assert (found is not None) == may_serve
            assert found is None or found.entry == entry

    @rule(chosen=st.sets(keys, max_size=3))
    def remove(self, chosen: set[str]) -> None:
        held = len(self.tier)
        assert self.tier.remove(chosen) == held - len(self.tier)
        for key in chosen:
            self.model.pop(key, None)
            assert self.tier.read(key) is None

    @rule(seconds=st.sampled_from([0.5, 3.0, 9.99, 10.0, 25.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.clock += seconds

    @rule()
    def machine_sleeps(self) -> None:
        """The lease's clock goes on, whatever the time of day does."""
        self.clock += 3 * LEASE_S

    @rule()
    def clock_is_set_back(self) -> None:
        """The time of day may; a lease must not last longer for it."""
        self.now -= 5

    @rule()
    def renew(self) -> None:
        self.tier.lease_until = self.clock + LEASE_S

    @rule()
    def leave(self) -> None:
        self.tier.shut()
        self.open = False
        self.model.clear()

    @invariant()
    def the_bound_holds(self) -> None:
        assert 0 <= self.tier.bytes <= CAPACITY
        assert self.open or len(self.tier) == 0

    @invariant()
    def nothing_is_served_that_the_model_does_not_hold(self) -> None:
        for key in KEYS:
            self.read(key)

    def teardown(self) -> None:
        self.time.stop()
        self.tier.remove(KEYS)
        assert (len(self.tier), self.tier._bytes, self.tier._by_source) == (0, 0, {})
        self.tier.shut()
        assert self.tier.bytes == 0


TestMemory = Memory.TestCase
TestMemory.settings = settings(max_examples=120, stateful_step_count=40)
