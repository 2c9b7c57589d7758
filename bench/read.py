"""``read``: what a read through the cache costs, and what an entry takes in Redis.

Time: the public ``Namespace.get``, with the checks and the statistics of production, in turns
with what one would write by hand: a ``cachetools.LRUCache`` behind a lock for a hit in memory, a
bare redis-py ``GET`` for a hit in Redis. Both read the same keys in the same order, 1 KiB each.
Memory: see ``bench.overhead``.
"""

from __future__ import annotations

import random
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from typing import Final

from cachetools import LRUCache

from bench.harness import Comparison, Options, compare, tell
from bench.machine import Machine
from bench.overhead import names, overhead
from bench.report import Figure, Report
from bench.servers import Bed, bed
from cachekeeper.client.cache import Cache
from cachekeeper.client.namespace import Namespace
from cachekeeper.core.request import SEEDS_A_MARK, make_request
from cachekeeper.core.stamps import FOLD_BEYOND

VALUE: Final = random.Random(1).randbytes(1024)
#: As many sources as are stored as they are. They are other keys, and the namespace of those.
SOURCES: Final = FOLD_BEYOND
THREADS: Final = 8
#: Long enough that every thread arrives while the loader runs.
LOAD_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much of each is done."""

    rounds: int
    keys: int  # different keys that are read
    memory_reads: int  # per slice, of which there are 20 a round for each side
    redis_reads: int
    marks: int  # invalidations of other keys that Redis remembers meanwhile
    flights: int  # keys on which the threads meet
    entries: int
    entries_with_8_sources: int
    entries_with_100_sources: int
    entries_folded: int


FULL: Final = Sizes(
    rounds=11,
    keys=1000,
    memory_reads=10_000,
    redis_reads=250,
    marks=10_000,
    flights=20,
    entries=100_000,
    entries_with_8_sources=10_000,
    entries_with_100_sources=1000,
    entries_folded=500,
)
QUICK: Final = Sizes(
    rounds=7,
    keys=500,
    memory_reads=2000,
    redis_reads=100,
    marks=10_000,
    flights=5,
    entries=3000,
    entries_with_8_sources=800,
    entries_with_100_sources=200,
    entries_folded=100,
)


def run(options: Options) -> Report:
    """Measure with the sizes that were asked for."""
    return measure(QUICK if options.quick else FULL, quick=options.quick)


def measure(sizes: Sizes, *, quick: bool) -> Report:
    """Measure everything once, each part on a fresh server of its own."""
    tell("time: memory")
    with bed() as server:
        machine = Machine.here(server.engine)
        memory = _memory(server, sizes)
    with bed() as server:
        shared = _redis(server, sizes)
    tell("single flight")
    with bed() as server:
        flights = _single_flight(server, sizes)
    stored = overhead(
        VALUE,
        sizes.entries,
        {
            8: sizes.entries_with_8_sources,
            SOURCES: sizes.entries_with_100_sources,
            SOURCES + 1: sizes.entries_folded,
        },
    )
    figures = [*memory, *shared, flights, *stored]
    return Report("read", machine, quick, asdict(sizes), figures)


def _memory(server: Bed, sizes: Sizes) -> list[Figure]:
    by_hand: LRUCache[str, bytes] = LRUCache(maxsize=2 * sizes.keys)
    lock = threading.Lock()

    def look_up(name: str) -> bytes:
        with lock:
            return by_hand[name]

    with server.cache() as cache:
        leaves = _namespaces(cache)["leaf"]
        for name in names(sizes.keys):
            by_hand[name] = leaves.get(name)
        order = _order(sizes.keys, sizes.memory_reads)
        with _only_hits(cache, "memory"):
            hits = compare(leaves.get, look_up, order, rounds=sizes.rounds)
    what = "a hit in memory / cachetools.LRUCache look-up behind a lock"
    return [
        Figure.median("memory_ratio", hits.ratio, what),
        Figure.median("memory_ns", hits.ours.scaled(1e9), "ours", "ns"),
        Figure.median("cachetools_ns", hits.other.scaled(1e9), "the other", "ns"),
    ]


def _redis(server: Bed, sizes: Sizes) -> list[Figure]:
    tell("time: redis, storing the values")
    with server.cache() as cache:  # with memory, which makes the pages sooner
        for namespace in _namespaces(cache).values():
            for name in names(sizes.keys):
                namespace.get(name)
        _check_sources(cache)
    order = _order(sizes.keys, sizes.redis_reads)
    with server.cache(memory_bytes=0) as cache, server.peer() as peer:
        ours = _namespaces(cache)
        for name in names(sizes.keys):
            peer.set(name, VALUE)

        def measured(namespace: str) -> Comparison:
            tell(f"time: redis, {namespace}")
            return compare(ours[namespace].get, peer.get, order, rounds=sizes.rounds)

        with _only_hits(cache, "redis"):
            idle = measured("page")
            _mark_others(cache, sizes.marks)
            bare, made, folded = measured("leaf"), measured("page"), measured("album")
    what = "a hit in Redis, memory tier off / redis-py GET"
    return [
        Figure.median("redis_ratio", bare.ratio, f"{what}; no dependencies"),
        Figure.median("redis_ratio_100_sources", made.ratio, f"{what}; {SOURCES} sources"),
        Figure.median(
            "redis_ratio_100_sources_idle", idle.ratio, "the same, nothing marked since it was made"
        ),
        Figure.median(
            "redis_ratio_folded", folded.ratio, f"{what}; {SOURCES + 1} sources, in a group"
        ),
        Figure.median("redis_us", bare.ours.scaled(1e6), "ours, no dependencies", "us"),
        Figure.median("redis_100_sources_us", made.ours.scaled(1e6), "ours, 100 sources", "us"),
        Figure.median("redis_py_us", bare.other.scaled(1e6), "the other", "us"),
    ]


def _single_flight(server: Bed, sizes: Sizes) -> Figure:
    """The most that the loader was called for any one key, with memory and without."""
    calls: Counter[str] = Counter()
    together = threading.Barrier(THREADS)

    def load(name: str) -> bytes:
        calls[name] += 1
        time.sleep(LOAD_S)
        return VALUE

    def read(namespace: Namespace, name: str) -> None:
        together.wait()
        namespace.get(name)

    with server.cache() as near, server.cache(memory_bytes=0) as far:
        for cache, which in ((near, "near"), (far, "far")):
            namespace = cache.namespace("flight")
            namespace.loader(load)
            with ThreadPoolExecutor(THREADS) as threads:
                for name in names(sizes.flights):
                    reads = [
                        threads.submit(read, namespace, f"{which}/{name}") for _ in range(THREADS)
                    ]
                    for done in reads:
                        done.result()
    what = f"loader calls for a key that {THREADS} threads miss at once; most of {len(calls)} keys"
    return Figure("single_flight_loads", max(calls.values()), what)


def _namespaces(cache: Cache) -> dict[str, Namespace]:
    """A leaf depends on nothing; a page has ``SOURCES`` sources, and an album one too many."""
    leaves = cache.namespace("leaf")
    leaves.loader(lambda _: VALUE)
    found = {"leaf": leaves}
    for name, sources in (("page", SOURCES), ("album", SOURCES + 1)):
        found[name] = cache.namespace(name)
        found[name].loader(partial(_made_of, leaves, sources - 1))  # and their namespace
    return found


def _made_of(leaves: Namespace, inputs: int, _: str) -> bytes:
    for leaf in names(inputs):
        leaves.get(leaf)
    return VALUE


def _check_sources(cache: Cache) -> None:
    """The values must have as many sources as is said, or the figures mean nothing."""
    for key, wanted in (("leaf", 0), ("page", SOURCES), ("album", 1)):
        found = cache.tiers["redis"].read(f"{key}:{names(1)[0]}")
        assert found is not None, key
        assert len(found.entry.stamp.sources) == wanted, key


def _mark_others(cache: Cache, count: int) -> None:
    """Invalidate keys that nobody reads.

    Done after the values were made: none can be told fresh by the epoch alone, all of its sources
    have to be looked for among these.
    """
    for start in range(0, count, SEEDS_A_MARK):
        keys = [f"other:{i}" for i in range(start, min(start + SEEDS_A_MARK, count))]
        cache.stores.marks.mark([make_request(id=uuid.uuid4().hex, at=0.0, keys=keys)], 0.0)


@contextmanager
def _only_hits(cache: Cache, tier: str) -> Iterator[None]:
    """Every read within must be answered by the tier, or the figures mean nothing."""
    before = cache.stats()
    yield
    others = {name: n for name, n in cache.stats().items() if name != tier and n != before[name]}
    assert not others, f"reads that ended elsewhere than in {tier}: {others}"


def _order(keys: int, reads: int) -> list[str]:
    """The names to read, evenly at random, the same at every run."""
    return random.Random(2).choices(names(keys), k=reads)
