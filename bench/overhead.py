"""What an entry takes in Redis beyond its value and its key.

Entries are filled by the public ``Namespace.get`` with the settings that ship, so everything that
comes with one counts: the stamped record, the expiry index, the edges of the graph and its log of
changes, and what the server's allocator rounds up. The values are small, so there is no binding of
the disk tier: that comes with larger ones, and with namespaces kept on disk.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Final

import redis

from bench.report import Figure
from bench.servers import bed

SETTLE_S: Final = 10.0


def per_entry(value: bytes, entries: int, inputs: int) -> float:
    """Bytes an entry takes beyond value and key when each is made of ``inputs`` others.

    The others are the same for all, and there before the count begins.
    """
    with bed() as server, server.peer() as peer, server.cache() as cache:
        leaves, pages = cache.namespace("input"), cache.namespace("photo")
        leaves.loader(lambda _: value)

        @pages.loader
        def page(_: str) -> bytes:
            for leaf in names(inputs):
                leaves.get(leaf)
            return value

        pages.get("warm")  # scripts, indexes and inputs are there
        kept = [pages.key(name) for name in names(entries)]
        return _growth(peer, kept, value, lambda: _read(pages.get, names(entries)))


def of_plain_strings(value: bytes, entries: int) -> float:
    """The same for bare ``SET``: what Redis itself takes."""
    with bed() as server, server.peer() as peer:
        kept = [f"photo:{name}" for name in names(entries)]
        return _growth(peer, kept, value, lambda: _read(lambda key: peer.set(key, value), kept))


def overhead(value: bytes, entries: dict[int, int]) -> list[Figure]:
    """The figures for ``inputs: entries``; without inputs there must be some."""
    plain = Figure(
        "overhead_bytes_per_entry",
        per_entry(value, entries[0], 0),
        f"in Redis, beyond value and key; {entries[0]:,} entries without dependencies",
        "B",
    )
    bare = Figure("overhead_bytes_plain_set", of_plain_strings(value, entries[0]), "bare SET", "B")
    made_of = [
        Figure(
            f"overhead_bytes_{inputs}_sources",
            per_entry(value, count, inputs),
            f"{count:,} entries, each made of the same {inputs} others",
            "B",
        )
        for inputs, count in entries.items()
        if inputs
    ]
    return [plain, bare, *made_of]


def names(count: int) -> list[str]:
    """Names as files have them; 26 bytes each."""
    return [f"{i % 100:02}-holiday/IMG_{i:06}.jpeg" for i in range(count)]


def _read(call: Callable[[str], object], arguments: Iterable[str]) -> None:
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
