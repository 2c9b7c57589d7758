"""Evicting from a device that holds a million files, beside the bare commands.

The device's manifest, ledger, order of eviction and expiry are as commits leave them. Ours is what
the sweep calls: it takes out what is worth least, some hundreds in a call, remembers it as the
policy wants, tells it among the events, deletes the files and releases their bytes. The other is
what removes as many values without knowing anything: ``ZPOPMIN`` of an order and ``UNLINK`` of keys
that hold 1 KiB, as many at a time. The device's files are nowhere but in the last figure, where
they are real links on the disk: to unlink them is the file system's part.
"""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import redis

from bench import expire
from bench.harness import MIN_ROUNDS, Options, Spread, tell
from bench.machine import Machine
from bench.report import Figure, Report
from bench.servers import Bed, bed
from cachekeeper.client.cache import Cache
from cachekeeper.core.device import DEMAND, Held, Place, Wish
from cachekeeper.core.retention import Priority

SIZE: Final = 1024  # bytes of a file, as the ledger counts them, and of a value of the other
A_CALL: Final = 500  # entries that one script takes out; of ZPOPMIN and UNLINK, too
SENT_AT_ONCE: Final = 1000
LIVES_S: Final = 3 * 86400.0
RAW: Final = "raw:"
SLOW_US: Final = 500  # calls that take longer are looked at


@dataclass(frozen=True, slots=True)
class Sizes:
    """How many entries a large and a small device hold, and how many are evicted in a round."""

    large: int
    small: int
    evicted: int
    rounds: int


FULL: Final = Sizes(1_000_000, 100_000, 10_000, MIN_ROUNDS)
QUICK: Final = Sizes(200_000, 20_000, 10_000, MIN_ROUNDS)


def run(options: Options) -> Report:
    """Measure with the sizes that were asked for."""
    sizes = QUICK if options.quick else FULL
    with bed() as server:
        machine = Machine.here(server.engine)
        figures = _evicting(server, sizes)
    figures += expire.measure(options)
    return Report("evict", machine, options.quick, asdict(sizes), figures)


def _evicting(server: Bed, sizes: Sizes) -> list[Figure]:
    quota = 4 * sizes.large * SIZE
    with (
        server.cache(memory_bytes=0, device_quota=quota, disk_min_free=0) as cache,
        server.peer() as peer,
    ):
        large, small = Phone(cache, peer, "large"), Phone(cache, peer, "small")
        tell(f"evict: {sizes.large:,} entries, {sizes.small:,} entries, and as many bare keys")
        large.fill(sizes.large)
        small.fill(sizes.small)
        bare = Bare(peer, random.Random(2).randbytes(SIZE))
        bare.fill(sizes.large)
        large.settle()
        small.settle()
        filed = Phone(cache, peer, "filed")
        ours, other, lesser, with_files, calls = [list[float]() for _ in range(5)]
        peer.config_set("slowlog-log-slower-than", SLOW_US)
        for number in range(sizes.rounds + 1):
            tell(f"evict: round {number} of {sizes.rounds}")
            filed.fill(sizes.evicted, files=True)
            server.settle()
            turns: list[tuple[list[float], Phone | Bare]] = [
                (ours, large),
                (other, bare),
                (lesser, small),
                (with_files, filed),
            ]
            for took, held in turns if number % 2 else reversed(turns):
                peer.slowlog_reset()
                begin = time.perf_counter()
                held.evict(sizes.evicted)
                took.append(time.perf_counter() - begin)
                if held is large:
                    calls.append(_longest_call(peer))
            large.fill(sizes.evicted)
            small.fill(sizes.evicted)
            bare.fill(sizes.evicted)
    ours, other, lesser, with_files = ours[1:], other[1:], lesser[1:], with_files[1:]  # warm by now
    of = f"{sizes.evicted:,} of {sizes.large:,} entries"
    return [
        Figure.median("evict_10k_s", Spread.of(ours), of, "s"),
        Figure.median("evict_vs_raw", _ratio(ours, other), "time / ZPOPMIN + UNLINK of as many"),
        Figure.median("growth", _ratio(ours, lesser), f"time / the same of {sizes.small:,}"),
        Figure.median("evict_call_ms", Spread.of(calls[1:]), "the longest call of it", "ms"),
        Figure.median("evict_raw_s", Spread.of(other), f"ZPOPMIN + UNLINK, {A_CALL} a call", "s"),
        Figure.median("evict_small_s", Spread.of(lesser), f"of {sizes.small:,} entries", "s"),
        Figure.median(
            "evict_files_10k_s",
            Spread.of(with_files),
            f"{sizes.evicted:,} of as many, each with its file on the disk",
            "s",
        ),
    ]


def _longest_call(peer: redis.Redis) -> float:
    """Of the calls since the slow log was emptied, in ms; what took no SLOW_US is not there."""
    logged: Any = peer.slowlog_get()
    return max((entry["duration"] for entry in logged), default=SLOW_US) / 1000


def _ratio(ours: list[float], other: list[float]) -> Spread:
    return Spread.of(a / b for a, b in zip(ours, other, strict=True))


class Phone:
    """A device whose entries are written by the thousand: what commits write, without asking."""

    def __init__(self, cache: Cache, peer: redis.Redis, name: str) -> None:
        self._cache, self._peer, self._id, self._made = cache, peer, name, 0
        self._dice = random.Random(name)
        self._layout, self._devices = cache.stores.connection.layout, cache.stores.devices
        self._limits = cache.device_caches.limits(name)
        self._digest = cache.stores.blobs.put(name.encode().ljust(SIZE))
        self._packed, self._state, self._worth = self._commit_one()

    def fill(self, count: int, *, files: bool = False) -> None:
        """As many entries, in no order of what they are worth."""
        layout, expires = self._layout, time.time() + LIVES_S
        before, _, after = self._packed.partition(b" copy ")
        for numbers in _parts(self._made, self._made + count):
            paths = _paths(numbers)
            copies = [uuid.uuid4().hex for _ in paths]
            entries = [before + b" " + copy.encode() + b" " + after for copy in copies]
            states: Mapping[Any, Any] = {
                path: self._state + copy.encode() for path, copy in zip(paths, copies, strict=True)
            }
            worths = {path: self._worth + self._dice.random() for path in paths}
            with self._peer.pipeline(transaction=False) as pipe:
                pipe.hset(layout.manifest(self._id), mapping=dict(zip(paths, entries, strict=True)))
                pipe.hset(layout.device_state(self._id), mapping=states)
                pipe.zadd(layout.rank(self._id, self._limits.policy), worths)
                pipe.zadd(layout.device_expires(self._id), dict.fromkeys(paths, expires))
                pipe.hincrby(layout.ledger(self._id), "used", SIZE * len(paths))
                pipe.execute()
            for copy in copies if files else ():
                assert self._cache.stores.files.link(self._id, copy, self._digest)
        self._made += count

    def settle(self) -> None:
        """Ask for every entry once: a table that has grown moves its rows as it is asked."""
        for numbers in _parts(0, self._made):
            paths = _paths(numbers)
            for name in (self._layout.manifest(self._id), self._layout.device_state(self._id)):
                assert all(self._peer.hmget(name, paths))

    def evict(self, count: int) -> None:
        """As the sweep does it."""
        gone = self._cache.device_caches.evict(self._id, count * SIZE)
        assert len(gone) == count, f"{len(gone)} of {count} were evicted"

    def _commit_one(self) -> tuple[bytes, bytes, float]:
        """What a commit writes: entry, state, worth; taken out again."""
        now, token, path = time.time(), uuid.uuid4().hex, "photos/0000/first.jpeg"
        wish = Wish(path, SIZE, token, DEMAND, Priority.MEDIUM.weight, now, now + 60)
        place = self._devices.reserve(self._id, wish, self._limits, Place(), "").place
        moment = self._cache.stores.marks.now()
        held = Held(
            sha256=self._digest,
            size=SIZE,
            incarnation=moment.incarnation,
            as_of=moment.epoch,
            sources=("o:file:x", "k:file:x", "n:file"),
            priority=Priority.MEDIUM,
            filled=now,
            expires=now + LIVES_S,
            by=DEMAND,
            copy=token,
        )
        assert (
            self._devices.commit(self._id, path, token, held, place, self._limits, now + 60) == ""
        )
        entry: Any = self._peer.hget(self._layout.manifest(self._id), path)
        assert entry is not None
        assert self._cache.device_caches.forget(self._id, path, token)
        packed = entry.replace(token.encode(), b"copy", 1)
        return packed, place.state.removesuffix(token.encode()), float(place.worth)


class Bare:
    """Keys with an order, and nothing that is told of them."""

    def __init__(self, peer: redis.Redis, value: bytes) -> None:
        self._peer, self._value, self._made = peer, value, 0
        self._dice = random.Random(1)

    def fill(self, count: int) -> None:
        """As many keys."""
        for numbers in _parts(self._made, self._made + count):
            keys = {path: self._dice.random() for path in _paths(numbers)}
            with self._peer.pipeline(transaction=False) as pipe:
                for key in keys:
                    pipe.set(RAW + key, self._value)
                pipe.zadd("order", keys)
                pipe.execute()
        self._made += count

    def evict(self, count: int) -> None:
        """Remove the lowest."""
        for _ in range(0, count, A_CALL):
            some: Any = self._peer.zpopmin("order", A_CALL)  # its stubs know no bytes
            removed = self._peer.unlink(*[RAW + key.decode() for key, _ in some])
            assert removed == A_CALL


def _parts(start: int, end: int) -> Iterator[range]:
    return (range(at, min(at + SENT_AT_ONCE, end)) for at in range(start, end, SENT_AT_ONCE))


def _paths(numbers: range) -> list[str]:
    return [f"photos/{number // 1000:04}/IMG_{number:09}.jpeg" for number in numbers]
