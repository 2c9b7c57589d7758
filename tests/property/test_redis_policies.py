"""A device lets go of the very files that the policy in memory would, whatever is asked of it."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cachekeeper.core.device import DEMAND, HIT, Held, Limits, Place, Wish
from cachekeeper.core.policy import make
from cachekeeper.core.policy.gdga import FIRST_W1, GDGA
from cachekeeper.core.policy.port import Policy
from cachekeeper.store.redis.connection import Connection
from cachekeeper.store.redis.devices import RedisDevices
from tests.support import fresh_deployment

START = 1_700_000_000.0
FOREVER = START * 2
NAMES = ("gdga", "retention", "lru")
WEIGHTS = (1.0, 0.8, 0.5, 0.2)

paths = st.sampled_from([f"f{i}" for i in range(14)])
steps = st.lists(
    st.tuples(
        st.sampled_from(["read"] * 12 + ["evict", "remove"]),
        paths,
        st.integers(0, 70),
        st.sampled_from(WEIGHTS),
        st.floats(0, 90_000, width=32),
    ),
    max_size=70,
)


class Phone:
    """A device in Redis, spoken to as the device service does; its files are nowhere."""

    def __init__(self, devices: RedisDevices, policy: str, quota: int, incarnation: int) -> None:
        self.devices, self.id = devices, f"d{uuid.uuid4().hex[:12]}"
        self.limits, self._incarnation = Limits(quota, 0, policy), incarnation
        self._path_of, self._copy_of = dict[str, str](), dict[str, str]()

    def hit(self, path: str, now: float) -> bool:
        return self.devices.access(self.id, path, now, self.limits.policy).state == HIT

    def insert(self, path: str, size: int, weight: float, now: float) -> list[str] | None:
        """Who had to go, None when it was refused."""
        copy = self._copy_of[path] = uuid.uuid4().hex
        self._path_of[copy] = path
        wish = Wish(path, size, copy, DEMAND, weight, now, now + 60)
        place, released, gone = Place(), "", list[str]()
        while not (
            room := self.devices.reserve(self.id, wish, self.limits, place, released)
        ).granted:
            if room.refused:
                assert not gone
                return None
            gone += [self._path_of[copy] for copy in room.copies]
            place, released = room.place, room.leaving
        held = Held("0" * 64, size, self._incarnation, 0, (), "low", now, FOREVER, DEMAND, copy)
        assert (
            self.devices.commit(self.id, path, wish.token, held, room.place, self.limits, now) == ""
        )
        return gone

    def evict(self, wanted: int, now: float) -> list[str]:
        gone = self.devices.evict(self.id, wanted, "token", now + 60, self.limits)
        self.devices.release(self.id, "token")
        return list(gone.paths)

    def remove(self, path: str, now: float) -> None:
        copy, policy = self._copy_of[path], self.limits.policy
        assert self.devices.remove(self.id, path, copy, "token", now + 60, policy)
        self.devices.release(self.id, "token")


@pytest.fixture(scope="module")
def connection(server_url: str) -> Iterator[Connection]:
    with fresh_deployment(server_url) as deployment:
        connection = Connection(server_url, deployment)
        yield connection
        connection.close()


Step = tuple[str, str, int, float, float]


def check(connection: Connection, name: str, quota: int, steps: list[Step]) -> tuple[Phone, Policy]:
    """Ask both the same, and find the same answers."""
    connection.redis.ping()
    incarnation = int(connection.redis.hget(connection.layout.clock, "incarnation"))
    phone = Phone(RedisDevices(connection), name, quota, incarnation)
    policy, sizes, now = make(name, quota), dict[str, int](), START
    for what, path, drawn, weight, later in steps:
        now += later
        size = sizes.setdefault(path, drawn)
        if what == "evict":
            free = quota - policy.used
            assert phone.evict(drawn, now) == policy.evict(free + drawn)
        elif what == "remove":
            if path in policy:
                policy.on_remove(path)
                phone.remove(path, now)
        elif path in policy:
            assert phone.hit(path, now)
            assert not policy.on_hit(path, size, now)
        else:
            assert not phone.hit(path, now)
            expected = policy.on_insert(path, size, now, weight)
            found = phone.insert(path, size, weight, now)
            assert found == (None if expected is None else list(expected))
        assert phone.devices.ledger(phone.id).used == policy.used
    return phone, policy


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=80)
@given(quota=st.integers(20, 250), steps=steps)
def test_both_choose_the_same_victims(
    connection: Connection, name: str, quota: int, steps: list[Step]
) -> None:
    check(connection, name, quota, steps)


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("name", NAMES)
def test_and_so_they_do_over_thousands_of_accesses(
    connection: Connection, name: str, seed: int
) -> None:
    """Long enough for counts to be halved, for ghosts to be forgotten and for probation to move."""
    dice = random.Random(seed)
    paths = [f"f{i}" for i in range(30)]
    popular = [1 / (1 + i) for i in range(30)]
    what = ["evict", "remove", *["read"] * 60]
    steps = [
        (dice.choice(what), path, dice.randrange(90), dice.choice(WEIGHTS), dice.expovariate(1e-3))
        for path in dice.choices(paths, popular, k=1500)
    ]
    phone, policy = check(connection, name, 600, steps)
    if isinstance(policy, GDGA):
        figures = connection.redis.hgetall(connection.layout.policy_figures(phone.id))
        assert float(figures[b"floor"]) == policy.floor > 0
        assert float(figures[b"w1"]) == policy.w1 != FIRST_W1
        assert int(figures[b"halvings"]) > 0
        assert int(figures[b"once"]) + int(figures[b"again"]) > 0
