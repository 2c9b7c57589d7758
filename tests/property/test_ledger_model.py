"""The ledger of a device against a plain model: whatever comes and goes, no byte beyond the quota.

The model does not say which entries an eviction takes, which test_redis_policies.py does, but what
an eviction may never take, and what every step does to the bytes.
"""

from __future__ import annotations

import itertools
import uuid
from dataclasses import dataclass, field

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from cachekeeper.core.device import DEMAND, PREFETCH, Held, Limits, Place, Wish
from cachekeeper.store.redis.connection import Connection
from cachekeeper.store.redis.devices import RedisDevices
from cachekeeper.store.redis.pins import RedisPins
from tests.property.machines import run_machine
from tests.support import fresh_deployment

QUOTA = 100
START = 1_700_000_000.0
LIFE_S = 50.0

paths = st.sampled_from(["a", "b", "c/d", "é", "e f", "g\u2028h"])
sizes = st.integers(1, QUOTA // 5) | st.integers(0, QUOTA + 10)


@dataclass
class Asking:
    """A download whose reservation is asked for or granted."""

    path: str
    wish: Wish
    place: Place = field(default_factory=Place)
    release: str = ""
    granted: bool = False


@pytest.mark.parametrize("policy", ["gdga", "retention", "lru"])
def test_whatever_happens_the_scripts_agree_with_the_model(server_url: str, policy: str) -> None:
    with fresh_deployment(server_url) as deployment:
        connection = Connection(server_url, deployment)
        layout, redis = connection.layout, connection.redis
        devices, pins = RedisDevices(connection), RedisPins(connection)
        tokens = itertools.count()
        limits = Limits(QUOTA, 10, policy)

        class Machine(RuleBasedStateMachine):
            """Downloads at once, each step by itself, sweeps, pins; a holder may stop anywhere."""

            def __init__(self) -> None:
                super().__init__()
                self.id, self.now = f"d{uuid.uuid4().hex[:12]}", START
                self.entries: dict[str, Held] = {}
                self.busy: dict[str, tuple[str, int]] = {}  # path -> token and bytes
                self.leaving: dict[str, int] = {}
                self.pinned: dict[str, int] = {}
                self.asking: dict[str, Asking] = {}

            def teardown(self) -> None:
                for pattern in (f"device:{self.id}:*", f"events:{self.id}", f"last:{self.id}"):
                    if found := list(redis.scan_iter(match=f"{layout.prefix}{pattern}")):
                        redis.delete(*found)

            @property
            def used(self) -> int:
                return sum(held.size for held in self.entries.values())

            @property
            def reserved(self) -> int:
                return sum(size for _, size in self.busy.values()) + sum(self.leaving.values())

            def _took_out(self, copies: tuple[str, ...], token: str) -> int:
                """What an eviction took: nothing pinned, nothing that is being fetched."""
                of = {held.copy: path for path, held in self.entries.items()}
                gone = [of[copy] for copy in copies]
                assert len(set(gone)) == len(gone)
                assert not set(gone) & self.pinned.keys()
                assert not set(gone) & self.busy.keys()
                bytes_ = sum(self.entries.pop(path).size for path in gone)
                if copies:
                    self.leaving[token] = bytes_
                return bytes_

            @rule(path=paths, size=sizes, by=st.sampled_from([DEMAND, PREFETCH]))
            def begins(self, path: str, size: int, by: str) -> None:
                token = f"{next(tokens):032x}"
                wish = Wish(path, size, token, by, 0.5, self.now, self.now + 60)
                self.asking[token] = Asking(path, wish)
                self._ask(self.asking[token])

            @precondition(lambda self: any(not each.granted for each in self.asking.values()))
            @rule(data=st.data())
            def asks_again(self, data: st.DataObject) -> None:
                waiting = sorted(t for t, each in self.asking.items() if not each.granted)
                self._ask(self.asking[data.draw(st.sampled_from(waiting))])

            def _ask(self, asking: Asking) -> None:
                wish, path = asking.wish, asking.path
                room = devices.reserve(self.id, wish, limits, asking.place, asking.release)
                self.leaving.pop(asking.release, None)
                first, asking.release = not asking.place.state, ""
                if path in self.busy and self.busy[path][0] != wish.token:
                    assert room.refused == "busy"
                    del self.asking[wish.token]
                    return
                self.busy.pop(path, None)
                pinned = sum(self.pinned.values())
                reason = "oversize" if wish.size > QUOTA else "pinned"
                fits = self.used + self.reserved + wish.size <= QUOTA
                if first and wish.size > QUOTA - pinned:
                    assert room.refused == reason
                    del self.asking[wish.token]
                elif fits:
                    assert room.granted
                    asking.granted, asking.place = True, room.place
                    self.busy[path] = wish.token, wish.size
                elif room.refused:
                    assert room.refused in {"room", "worth"}
                    assert not room.copies
                    del self.asking[wish.token]
                else:
                    assert not room.granted
                    assert room.copies
                    asking.place, asking.release = room.place, room.leaving
                    self._took_out(room.copies, room.leaving)
                    self.busy[path] = wish.token, 0

            @precondition(lambda self: any(each.granted for each in self.asking.values()))
            @rule(data=st.data(), less=st.integers(0, 5))
            def commits(self, data: st.DataObject, less: int) -> None:
                """Of the bytes that were reserved; the origin may have promised too much."""
                granted = sorted(t for t, each in self.asking.items() if each.granted)
                self._commit(data.draw(st.sampled_from(granted)), less)

            @rule(path=paths, size=sizes)
            def stores(self, path: str, size: int) -> None:
                """All of it at once, as long as nobody has to go."""
                before = set(self.asking)
                self.begins(path, size, DEMAND)
                for token in self.asking.keys() - before:
                    if self.asking[token].granted:
                        self._commit(token, 0)

            def _commit(self, token: str, less: int) -> None:
                asking = self.asking.pop(token)
                size = asking.wish.size
                held = Held(
                    "0" * 64, size, 1, 0, (), "low", self.now, self.now + LIFE_S * (1 + less),
                    asking.wish.by, token,
                )  # fmt: skip
                replaced = devices.commit(
                    self.id, asking.path, token, held, asking.place, limits, self.now + 60
                )
                if self.busy.get(asking.path, ("", 0))[0] != token:
                    assert replaced is None, "its reservation was settled meanwhile"
                    return
                old = self.entries.get(asking.path)
                assert replaced == (old.copy if old else "")
                del self.busy[asking.path]
                if old:
                    self.leaving[token] = old.size
                self.entries[asking.path] = held
                if asking.path in self.pinned:
                    self.pinned[asking.path] = size

            @precondition(lambda self: any(each.granted for each in self.asking.values()))
            @rule(data=st.data())
            def is_sent_again(self, data: st.DataObject) -> None:
                """The answer was lost with its connection: it is reserved once all the same."""
                granted = sorted(t for t, each in self.asking.items() if each.granted)
                asking = self.asking[data.draw(st.sampled_from(granted))]
                if self.busy.get(asking.path, ("", 0))[0] != asking.wish.token:
                    return  # settled meanwhile, and maybe somebody else's
                asking.place = Place()
                del self.busy[asking.path]
                asking.granted = False
                self.busy[asking.path] = asking.wish.token, 0
                self._ask(asking)

            @precondition(lambda self: self.busy)
            @rule(data=st.data())
            def is_abandoned(self, data: st.DataObject) -> None:
                """By its holder, or by who settles what the dead have left."""
                path = data.draw(st.sampled_from(sorted(self.busy)))
                token, size = self.busy[path]
                assert not devices.abandon(self.id, path, "another", self.now + 60)
                assert devices.renew(self.id, path, token, self.now + 70)
                assert devices.abandon(self.id, path, token, self.now + 60)
                assert not devices.renew(self.id, path, token, self.now + 70)
                assert not devices.abandon(self.id, path, token, self.now + 60)
                del self.busy[path]
                self.leaving[token] = size
                if token in self.asking and not self.asking[token].granted:
                    del self.asking[token]

            @precondition(lambda self: self.leaving)
            @rule(data=st.data())
            def is_released(self, data: st.DataObject) -> None:
                token = data.draw(st.sampled_from(sorted(self.leaving)))
                del self.leaving[token]
                assert devices.release(self.id, token)
                assert not devices.release(self.id, token), "once"

            @rule(wanted=st.integers(1, QUOTA))
            def evicts(self, wanted: int) -> None:
                free = [p for p in self.entries if p not in self.pinned and p not in self.busy]
                there = sum(self.entries[path].size for path in free)
                token = f"e{next(tokens)}"
                gone = devices.evict(self.id, wanted, token, self.now + 60, limits)
                bytes_ = self._took_out(gone.copies, token)
                assert bytes_ == gone.bytes
                assert bytes_ >= min(wanted, there)

            @precondition(lambda self: len(self.entries) > 1)
            @rule(wanted=st.integers(1, QUOTA // 5))
            def evicts_and_is_sent_again(self, wanted: int) -> None:
                """Both times it took something: the first counts until somebody settles it."""
                token = f"t{next(tokens)}"
                first = devices.evict(self.id, wanted, token, self.now + 60, limits)
                self._took_out(first.copies, token)
                again = devices.evict(self.id, wanted, token, self.now + 60, limits)
                if first.copies and again.copies:
                    kept = {raw.decode() for raw in redis.hkeys(layout.leaving(self.id))}
                    (apart,) = kept - self.leaving.keys()
                    self.leaving[apart] = self.leaving.pop(token)
                self._took_out(again.copies, token)

            @rule()
            def expires(self) -> None:
                token = f"x{next(tokens)}"
                due = {
                    path: held.copy
                    for path, held in self.entries.items()
                    if held.expires <= self.now
                    and path not in self.pinned
                    and path not in self.busy
                }
                _, gone = devices.expire(self.id, token, self.now + 60, self.now, policy)
                assert set(gone.copies) == set(due.values())
                self._took_out(gone.copies, token)

            @rule(path=paths, copy=st.booleans())
            def is_removed(self, path: str, copy: bool) -> None:
                token, held = f"r{next(tokens)}", self.entries.get(path)
                name = held.copy if held and copy else "another"
                done = devices.remove(self.id, path, name, token, self.now + 60, policy)
                assert done == (held is not None and copy and path not in self.busy)
                if done and held:
                    del self.entries[path]
                    self.leaving[token] = held.size
                    if path in self.pinned:
                        self.pinned[path] = 0  # pinned still, as it comes

            @rule(path=paths)
            def is_pinned(self, path: str) -> None:
                attempt, held = pins.pin(self.id, path, QUOTA), self.entries.get(path)
                others = sum(size for each, size in self.pinned.items() if each != path)
                assert attempt.held == (held is not None)
                if held is None:
                    self.pinned.setdefault(path, 0)
                elif path not in self.pinned and others + held.size > QUOTA:
                    assert (attempt.done, attempt.others) == (False, others)
                else:
                    assert attempt.done
                    self.pinned[path] = held.size

            @rule(path=paths, absent=st.booleans())
            def is_unpinned(self, path: str, absent: bool) -> None:
                done = pins.unpin(self.id, path, policy, self.now, absent=absent)
                assert done == (path in self.pinned and not (absent and path in self.entries))
                if done:
                    del self.pinned[path]

            @rule(path=paths)
            def is_read(self, path: str) -> None:
                access, held = (
                    devices.access(self.id, path, self.now, policy),
                    self.entries.get(path),
                )
                assert (access.held.copy if access.held else None) == (held.copy if held else None)

            @rule(by=st.floats(0, 60))
            def time_goes_on(self, by: float) -> None:
                self.now += by

            @invariant()
            def agrees(self) -> None:
                ledger = devices.ledger(self.id)
                assert (ledger.used, ledger.reserved) == (self.used, self.reserved)
                assert ledger.used + ledger.reserved <= QUOTA
                assert ledger.pinned == sum(self.pinned.values())
                assert devices.manifest(self.id) == self.entries
                assert pins.pins(self.id) == self.pinned
                ranked = {raw.decode() for raw in redis.zrange(layout.rank(self.id, policy), 0, -1)}
                assert ranked == self.entries.keys() - self.pinned.keys()

        run_machine(Machine, steps=50)
        redis.delete(*redis.scan_iter(match=f"{layout.prefix}*"), "nothing")
        connection.close()
