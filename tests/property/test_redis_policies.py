"""A device lets go of the very files that the policy in memory would, whatever is asked of it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cachekeeper.core.device import DEMAND, HIT, Held, Limits, Place, Wish
from cachekeeper.core.policy import make
from cachekeeper.store.redis.connection import Connection
from cachekeeper.store.redis.devices import RedisDevices
from tests.support import fresh_deployment

START = 1_700_000_000.0
FOREVER = START * 2
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

    def hit(self, path: str, now: float) -> bool:
        return self.devices.access(self.id, path, now, self.limits.policy).state == HIT

    def insert(self, path: str, size: int, weight: float, now: float) -> list[str] | None:
        """Who had to go, None when it was refused."""
        wish = Wish(path, size, uuid.uuid4().hex, DEMAND, weight, now, now + 60)
        place, released, gone = Place(), "", list[str]()
        while not (
            room := self.devices.reserve(self.id, wish, self.limits, place, released)
        ).granted:
            if room.refused:
                assert not gone
                return None
            gone += room.copies
            place, released = room.place, room.leaving
        held = Held(
            "0" * 64, size, self._incarnation, 0, (), "low", now, FOREVER, DEMAND, copy=path
        )
        assert self.devices.commit(self.id, path, wish.token, held, room.place, self.limits) == ""
        return gone

    def evict(self, wanted: int, now: float) -> list[str]:
        gone = self.devices.evict(self.id, wanted, "token", now + 60, self.limits)
        self.devices.release(self.id, "token")
        return list(gone.paths)

    def remove(self, path: str, now: float) -> None:
        taken = self.devices.remove(self.id, path, path, "token", now + 60, now, self.limits.policy)
        assert taken
        self.devices.release(self.id, "token")


@pytest.fixture(scope="module")
def connection(server_url: str) -> Iterator[Connection]:
    with fresh_deployment(server_url) as deployment:
        connection = Connection(server_url, deployment)
        yield connection
        connection.close()


@pytest.mark.parametrize("name", ["gdga", "retention", "lru"])
@settings(max_examples=100)
@given(quota=st.integers(20, 250), steps=steps)
def test_both_choose_the_same_victims(
    connection: Connection,
    name: str,
    quota: int,
    steps: list[tuple[str, str, int, float, float]],
) -> None:
    connection.redis.ping()
    incarnation = int(connection.redis.hget(connection.layout.clock, "incarnation"))
    phone = Phone(RedisDevices(connection), name, quota, incarnation)
    policy, sizes, now = make(name, quota), dict[str, int](), START
    for what, path, size, weight, later in steps:
        now += later
        if what == "evict":
            free = quota - policy.used
            victims = policy.evict(free + size)
            assert phone.evict(size, now) == victims
        elif what == "remove":
            if path in policy:
                policy.on_remove(path)
                phone.remove(path, now)
        else:
            held = path in policy
            size = sizes.setdefault(path, size)
            assert phone.hit(path, now) == held
            if held:
                assert not policy.on_hit(path, size, now)
            else:
                expected = policy.on_insert(path, size, now, weight)
                found = phone.insert(path, size, weight, now)
                assert found == (None if expected is None else list(expected))
        assert phone.devices.ledger(phone.id).used == policy.used
