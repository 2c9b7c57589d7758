"""Expiring entries: the sweep of the tiers, the index and the graph, beside the bare commands.

A million entries as a fill leaves them: a stamped record of 1 KiB with its expiry, and a line in
the index. Of these 10,000 have just expired, and the server, which looks for such keys at random,
has left them where they are. Ours is the sweep that the workers run; the other is what removes as
many without knowing of tiers and graphs: ``ZPOPMIN`` of the index and ``UNLINK`` of the values, as
many at a time. Both begin on entries of the same kind, in turns.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import redis

from bench.harness import MIN_ROUNDS, Options, Spread, tell
from bench.machine import Machine
from bench.report import Figure, Report, print_json, print_table
from bench.servers import Bed, bed
from cachekeeper.client.cache import Cache
from cachekeeper.core.stamps import Entry, Found, Stamp
from cachekeeper.services.expire import CHUNK, ExpirySweep
from cachekeeper.store.redis.layout import Layout

VALUE: Final = random.Random(1).randbytes(1024)
LASTING_S: Final = 3600.0
#: One side's entries expire so long after another's.
APART_S: Final = 0.5
SENT_AT_ONCE: Final = 2000
#: Entries that were derived from another, as in a graph: one in ten.
DERIVED: Final = 10


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is kept, and how much of it expires in a round."""

    entries: int
    expired: int
    rounds: int


FULL: Final = Sizes(1_000_000, 10_000, MIN_ROUNDS)
QUICK: Final = Sizes(100_000, 10_000, MIN_ROUNDS)


def run(options: Options) -> Report:
    """Measure with the sizes that were asked for."""
    sizes = _sizes(options)
    with bed() as server:
        machine = Machine.here(server.engine)
        figures = _figures(server, sizes)
    shown = {"entries": sizes.entries, "expired": sizes.expired, "rounds": sizes.rounds}
    return Report("expire", machine, options.quick, shown, figures)


def measure(options: Options) -> list[Figure]:
    """The figures, on a server of their own."""
    with bed() as server:
        return _figures(server, _sizes(options))


def _sizes(options: Options) -> Sizes:
    return QUICK if options.quick else FULL


def _figures(server: Bed, sizes: Sizes) -> list[Figure]:
    with server.cache(memory_bytes=0) as cache, server.peer() as peer:
        filler = Filler(cache, peer)
        tell(f"expire: {sizes.entries:,} entries")
        filler.fill(sizes.entries - sizes.expired, time.time() + LASTING_S)
        filler.check()
        server.settle()
        sweep = ExpirySweep(
            expiry=cache.stores.expiry,
            devices=cache.stores.devices,
            caches=cache.device_caches,
            now=time.time,
        )
        by_hand = partial(_Raw(peer, cache.stores.connection.layout).remove, sizes.expired)
        ours, raw, graph = _Side(_swept(sweep)), _Side(by_hand), _Side(_swept(sweep), derived=True)
        for number in range(sizes.rounds + 1):
            tell(f"expire: round {number} of {sizes.rounds}")
            filler.time([ours, raw, graph] if number % 2 else [raw, ours, graph], sizes.expired)
    our_s, raw_s, graph_s = (side.took[1:] for side in (ours, raw, graph))  # the first warms up
    ratios = Spread.of(a / b for a, b in zip(our_s, raw_s, strict=True))
    of = f"{sizes.expired:,} of {sizes.entries:,} entries"
    return [
        Figure.median("expire_10k_s", Spread.of(our_s), f"the sweep of {of}", "s"),
        Figure.median("expire_vs_raw", ratios, "time / ZPOPMIN + UNLINK of as many"),
        Figure.median("expire_raw_s", Spread.of(raw_s), f"ZPOPMIN + UNLINK, {CHUNK} a call", "s"),
        Figure.median(
            "expire_graph_s",
            Spread.of(graph_s),
            f"the sweep of {of}, one in {DERIVED} of them derived from a key that lives",
            "s",
        ),
    ]


@dataclass
class _Side:
    """A way to remove what has expired, and the seconds that it took in each round."""

    remove: Callable[[], int]
    derived: bool = False  # one in ten entries was derived from another
    took: list[float] = field(default_factory=list)


def _swept(sweep: ExpirySweep) -> Callable[[], int]:
    return lambda: sweep.entries().removed


class Filler:
    """Fills entries by the thousand: what ``fill.lua`` writes, without its checks."""

    def __init__(self, cache: Cache, peer: redis.Redis) -> None:
        self._cache, self._peer, self._made = cache, peer, 0
        self._layout, self._tier = cache.stores.connection.layout, cache.stores.redis
        self._moment, self._entry_s = cache.stores.marks.now(), 0.0

    def fill(self, count: int, expires: float) -> list[str]:
        """As many entries with keys of their own; returns the keys."""
        keys = [f"photo:{number:09}.jpeg" for number in range(self._made, self._made + count)]
        self._made, began = self._made + count, time.perf_counter()
        entry = Entry(VALUE, Stamp(self._moment), time.time(), expires)
        assert self._tier.fill(keys[0], Found(entry, self._moment)) is not None
        record = self._peer.get(self._layout.value(keys[0]))
        assert isinstance(record, bytes)
        for some in _parts(keys, SENT_AT_ONCE):
            with self._peer.pipeline(transaction=False) as pipe:
                for key in some:
                    pipe.set(self._layout.value(key), record, pxat=round(expires * 1000))
                pipe.zadd(self._layout.expiry, dict.fromkeys(some, expires))
                pipe.execute()
        self._entry_s = max(self._entry_s, (time.perf_counter() - began) / count)
        return keys

    def check(self) -> None:
        """Entries must be what a fill leaves, or the figures mean nothing: some are read."""
        for number in random.Random(3).sample(range(self._made), 100):
            key = f"photo:{number:09}.jpeg"
            found = self._tier.read(key)
            assert found is not None, key
            assert found.entry.body == VALUE, key
            assert self._cache.stores.expiry.when(key) == found.entry.expires, key

    def time(self, sides: Sequence[_Side], count: int) -> None:
        """How long each side takes to remove so many that have just expired."""
        # Twice as long as it takes to fill them, and a second more.
        begin = time.time() + 1 + 2 * self._entry_s * count * len(sides)
        filled = list[list[str]]()
        for number, side in enumerate(sides):
            filled.append(self.fill(count, begin + number * APART_S))
            for key in filled[-1][::DERIVED] if side.derived else ():
                self._cache.stores.graph.link(key, ["album:lives"])
        assert time.time() < begin, "they have expired while they were filled"
        for number, (side, keys) in enumerate(zip(sides, filled, strict=True)):
            time.sleep(max(0.0, begin + number * APART_S - time.time()) + 0.01)
            began = time.perf_counter()
            removed = side.remove()
            side.took.append(time.perf_counter() - began)
            assert removed == count, f"{removed} of {count} were removed"
            assert not self._tier.present(keys[:100])


class _Raw:
    """The bare commands."""

    def __init__(self, peer: redis.Redis, layout: Layout) -> None:
        self._peer, self._index, self._prefix = peer, layout.expiry, layout.value("")

    def remove(self, count: int) -> int:
        """Remove the oldest entries; returns how many there were in the index."""
        removed = 0
        for _ in range(0, count, CHUNK):
            some: Any = self._peer.zpopmin(self._index, CHUNK)  # its stubs know no bytes
            self._peer.unlink(*[self._prefix + key.decode() for key, _ in some])
            removed += len(some)
        return removed


def _parts(keys: list[str], size: int) -> Iterator[list[str]]:
    return (keys[start : start + size] for start in range(0, len(keys), size))


if __name__ == "__main__":
    report = run(Options(quick="--quick" in sys.argv))
    print_table(report)
    print_json(report)
