"""The retention rank: the order of the score, whenever it is asked for, on the server too."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cachekeeper.core.device import DEMAND, HIT, PREFETCH, Held, Limits, Place, Wish
from cachekeeper.core.retention import Priority, rank, score
from cachekeeper.store.redis.connection import Connection
from cachekeeper.store.redis.devices import RedisDevices
from cachekeeper.store.redis.marks import RedisMarks
from tests.support import fresh_deployment

DAY = 24 * 3600
START = 1_700_000_000
LIMITS = Limits(quota=10**6, headroom=0, policy="retention")
WEIGHTS = {"critical": 1.0, "high": 0.8, "medium": 0.5, "low": 0.2}

moments = st.integers(0, 29 * DAY) | st.floats(0, 29 * DAY, width=32)
priorities = st.sampled_from(Priority)


def specified(last: float, now: float, accesses: int, priority: Priority) -> float:
    """SPEC 6, word by word."""
    idle = now - last
    age = max(0, 1 - idle / (30 * DAY))
    usage = min(1, accesses / 100)
    return 0.4 * age + 0.4 * WEIGHTS[priority.value] + 0.2 * usage


@dataclass(frozen=True)
class File:
    """What the score is made of."""

    last: float
    accesses: int
    priority: Priority

    def score(self, now: float) -> float:
        return specified(self.last, now, self.accesses, self.priority)

    def rank(self) -> float:
        return rank(last_access=self.last, accesses=self.accesses, priority=self.priority)


files = st.builds(
    File,
    last=moments.map(lambda s: START + s),
    accesses=st.integers(0, 150),
    priority=priorities,
)


@given(files, st.floats(0, 90 * DAY))
def test_the_score_is_the_one_of_the_specification(file: File, later: float) -> None:
    now = file.last + later
    found = score(last_access=file.last, now=now, accesses=file.accesses, priority=file.priority)
    assert found == pytest.approx(file.score(now), abs=1e-12)
    assert 0 <= found <= 1


@given(files, files, st.floats(0, 1))
def test_the_rank_gives_the_order_of_the_score_at_any_time(
    one: File, other: File, when: float
) -> None:
    # As long as neither has been idle for 30 days, which their lifetimes see to.
    first, last = max(one.last, other.last), min(one.last, other.last) + 30 * DAY
    now = first + when * (last - first)
    gap = one.score(now) - other.score(now)
    assume(abs(gap) > 1e-9)
    assert (one.rank() > other.rank()) == (gap > 0)


@given(files, st.integers(0, 150), priorities)
def test_more_of_anything_never_makes_a_file_worth_less(
    file: File, accesses: int, priority: Priority
) -> None:
    better = File(
        file.last + 1,
        max(file.accesses, accesses),
        max(file.priority, priority, key=lambda p: WEIGHTS[p.value]),
    )
    assert better.rank() > file.rank()


@dataclass(frozen=True)
class Kept:
    """A file as a device takes it in, and the reads that follow, in seconds after the start."""

    filled: int
    size: int
    priority: Priority
    by: str
    reads: list[int]


kept = st.builds(
    Kept,
    filled=st.integers(0, 5 * DAY),
    size=st.integers(0, 1000),
    priority=priorities,
    by=st.sampled_from([DEMAND, PREFETCH]),
    reads=st.lists(st.integers(5 * DAY, 6 * DAY), max_size=4),
)


@pytest.fixture(scope="module")
def connection(server_url: str) -> Iterator[Connection]:
    with fresh_deployment(server_url) as deployment:
        connection = Connection(server_url, deployment)
        yield connection
        connection.close()


@given(held=st.lists(kept, min_size=1, max_size=12), wanted=st.integers(0, 4000))
@settings(max_examples=60)
def test_the_server_evicts_the_very_files_that_sorting_by_the_score_would(
    connection: Connection, held: list[Kept], wanted: int
) -> None:
    devices, device = RedisDevices(connection), f"d{uuid.uuid4().hex[:12]}"
    incarnation = RedisMarks(connection, 60).now().incarnation
    for i, file in enumerate(held):
        take_in(devices, device, f"f{i}", file, incarnation)
    for at, path in sorted((at, f"f{i}") for i, file in enumerate(held) for at in file.reads):
        assert devices.access(device, path, START + at, LIMITS.policy).state == HIT

    now = START + 7 * DAY
    scores = {f"f{i}": worth(file, now) for i, file in enumerate(held)}
    distinct = {round(value, 9) for value in scores.values()}
    assume(len(distinct) == len(scores))  # of two that are worth the same, either may go
    expected, named = [], 0
    for path in sorted(scores, key=scores.__getitem__):
        if named >= wanted:
            break
        expected.append(path)
        named += held[int(path[1:])].size

    victims = devices.evict(device, wanted, "token", now + 60, LIMITS)
    assert list(victims.paths) == expected
    assert victims.bytes == named
    ledger = devices.ledger(device)
    assert ledger.reserved == named  # until their files are deleted
    assert ledger.used == sum(file.size for file in held) - named
    assert devices.release(device, "token") == bool(expected)
    assert devices.ledger(device).reserved == 0
    assert set(devices.manifest(device)) == set(scores) - set(victims.paths)


def take_in(devices: RedisDevices, device: str, path: str, file: Kept, incarnation: int) -> None:
    """Reserve and commit, as a fetch does."""
    filled = START + float(file.filled)
    held = Held(
        sha256="0" * 64,
        size=file.size,
        incarnation=incarnation,
        as_of=0,
        sources=("k:file:x",),
        priority=file.priority,
        filled=filled,
        expires=filled + 30 * DAY,
        by=file.by,
        copy=f"copy-of-{path}",
    )
    wish = Wish(path, file.size, "token", file.by, file.priority.weight, filled, filled + 60)
    room = devices.reserve(device, wish, LIMITS, Place(), "")
    assert room.granted
    assert devices.commit(device, path, "token", held, room.place, LIMITS, filled) == ""


def worth(file: Kept, now: float) -> float:
    """Its score by the specification; a fetch on demand is an access, a prediction is none."""
    accesses = len(file.reads) + (file.by == DEMAND)
    last = START + max([file.filled, *file.reads])
    return specified(last, now, accesses, file.priority)
