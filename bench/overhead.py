"""What an entry takes in Redis beyond its value and its key.

Entries are stored by the public ``Namespace.fill``, which leaves just what a read that misses does
and asks less before, with the settings that ship. So everything that comes with one counts: the
stamped record, the expiry index, the edges of the graph and its log of changes, and what the
server's allocator rounds up. The values are small, so there is no binding of the disk tier: that
comes with larger ones, and with namespaces kept on disk.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final

import redis

from bench.harness import tell
from bench.report import Figure
from bench.servers import bed
from cachekeeper.core.stamps import FOLD_BEYOND

SETTLE_S: Final = 10.0


def per_entry(value: bytes, entries: int, sources: int) -> float:
    """Bytes an entry takes beyond value and key when each has so many ``sources`` beside its own.

    The sources are other keys, the same for all and there before the count begins, and the
    namespace of those.
    """
    with bed() as server, server.peer() as peer, server.cache() as cache:
        leaves, pages = cache.namespace("input"), cache.namespace("photo")
        leaves.loader(lambda _: value)
        pages.loader(lambda _: value)
        inputs = names(sources - 1) if sources else []

        def fill(name: str) -> None:
            with pages.fill(name) as one:
                for leaf in inputs:
                    leaves.get(leaf)
                assert one.put(value), name

        fill("warm")  # scripts, indexes and inputs are there
        kept = [pages.key(name) for name in names(entries)]
        return _growth(peer, kept, value, lambda: _each(fill, names(entries)))


def of_plain_strings(value: bytes, entries: int) -> float:
    """The same for bare ``SET``: what Redis itself takes."""
    with bed() as server, server.peer() as peer:
        kept = [f"photo:{name}" for name in names(entries)]
        return _growth(peer, kept, value, lambda: _each(lambda key: peer.set(key, value), kept))


def overhead(value: bytes, entries: int, made: Mapping[int, int]) -> list[Figure]:
    """The figures for so many entries without dependencies, and for those ``made`` of others.

    ``made`` says how many entries have how many sources, ``sources: entries``; more than
    ``FOLD_BEYOND`` sources are the folded ones.
    """
    figures = []
    tell(f"overhead: {entries:,} entries without dependencies")
    what = f"in Redis, beyond value and key; {entries:,} entries without dependencies"
    figures.append(Figure("overhead_bytes_per_entry", per_entry(value, entries, 0), what, "B"))
    tell(f"overhead: {entries:,} bare strings")
    figures.append(
        Figure("overhead_bytes_plain_set", of_plain_strings(value, entries), "bare SET", "B")
    )
    for sources, count in made.items():
        tell(f"overhead: {count:,} entries with {sources} sources")
        name = "folded" if sources > FOLD_BEYOND else f"{sources}_sources"
        what = f"{count:,} entries with the same {sources} sources"
        if sources > FOLD_BEYOND:
            what += ", folded into a group each"
        figures.append(
            Figure(f"overhead_bytes_{name}", per_entry(value, count, sources), what, "B")
        )
    return figures


def names(count: int) -> list[str]:
    """Names as files have them; 26 bytes each."""
    return [f"{i % 100:02}-holiday/IMG_{i:06}.jpeg" for i in range(count)]


def _each(call: Callable[[str], object], arguments: Iterable[str]) -> None:
    for argument in arguments:
        call(argument)


def _growth(peer: redis.Redis, keys: list[str], value: bytes, fill: Callable[[], None]) -> float:
    before = _used(peer)
    fill()
    payload = sum(len(key) + len(value) for key in keys)
    return (_used(peer) - before - payload) / len(keys)


def _used(peer: redis.Redis) -> int:
    """Bytes that the data takes, once the server has finished rearranging it."""
    end = time.monotonic() + SETTLE_S
    while True:
        info = peer.info()
        busy = info["aof_rewrite_in_progress"] or info.get("mem_overhead_db_hashtable_rehashing", 0)
        busy = busy or not info["mem_clients_normal"]  # counted now and then; we are one of them
        if not busy or time.monotonic() > end:
            passing = info["mem_clients_normal"] + info["mem_aof_buffer"]
            return int(info["used_memory"] - passing)
        time.sleep(0.05)
