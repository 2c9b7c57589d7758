"""How many keys a second are invalidated: strict, verified, recorded, and their bytes removed.

From the call in a producer to the receipt that says that all bytes are gone. Beside it, on the same
server: bare ``UNLINK``, which promises nothing; the tags of cashews; and a task for each key.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Final

import psutil
import redis
from cashews import Cache as Cashews

from bench.harness import Options, Spread
from bench.machine import Machine
from bench.report import Figure, Report
from bench.servers import Bed, bed
from bench.workers import nodes, say, worker
from cachekeeper import Cache
from cachekeeper.client.receipt import ReceiptHandle
from cachekeeper.core.receipt import Receipt, Status
from cachekeeper.core.stamps import Entry, Found, Stamp
from cachekeeper.names import Queue

VALUE: Final = b"x" * 1024
NAMESPACE: Final = "held"
AT_ONCE: Final = 25_000  # keys of one request
A_GROWN: Final = 10_000  # and while memory is looked at
A_COMMAND: Final = 1000  # keys of one UNLINK, of one tag of cashews, and of one of our trees
BRANCHES: Final = 10  # keys that were made from one
RECEIPT_S: Final = 120.0
GRACE_S: Final = 2.0
MB: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured."""

    keys: int
    rounds: int
    single_tasks: int
    small: int
    large: int


FULL: Final = Sizes(100_000, 5, 2000, 10_000, 1_000_000)
QUICK: Final = Sizes(10_000, 5, 300, 10_000, 100_000)


def run(options: Options) -> Report:
    """Measure with the sizes that were asked for."""
    sizes = QUICK if options.quick else FULL
    queues = f"{Queue.IMMEDIATE},{Queue.PURGE}"
    with (
        bed() as server,
        worker(server, "immediate", "-Q", queues, "-c", "2") as process,
        server.cache(memory_bytes=0) as cache,
        nodes(server, 1, NAMESPACE, 0) as (node,),
        server.peer() as peer,
    ):
        machine = Machine.here(server.engine)
        time.sleep(GRACE_S)  # in which no strict request succeeds: nothing to poll for
        keys = [f"{NAMESPACE}:{number}" for number in range(sizes.keys)]
        ours, raw, tags = [], [], []
        for number in range(sizes.rounds + 1):
            _fill(cache, keys, number)
            say(node, f"hold {sizes.keys // 10}")
            ours.append(sizes.keys / _invalidated(server, cache, keys))
            raw.append(sizes.keys / _unlinked(server, peer, keys))
            tags.append(sizes.keys / asyncio.run(_untagged(server, sizes.keys)))
        single = sizes.single_tasks / _one_by_one(cache, keys[: sizes.single_tasks])
        small = _grown(cache, process.pid, sizes.small)
        large = _grown(cache, process.pid, sizes.large)
    what = f"{sizes.keys:,} keys in requests of {AT_ONCE:,} / "
    ours, raw, tags = ours[1:], raw[1:], tags[1:]  # the first round is to warm up
    figures = [
        Figure.median("keys_per_s", Spread.of(ours), "strict, verified, recorded, bytes removed"),
        Figure.median("vs_raw_unlink", _ratio(ours, raw), f"{what}UNLINK, {A_COMMAND} a command"),
        Figure.median("vs_cashews", _ratio(ours, tags), f"{what}delete_tags of cashews"),
        Figure.median(
            "vs_task_per_key", Spread.of(rate / single for rate in ours), f"{what}a task for each"
        ),
        Figure.median("raw_unlink_keys_per_s", Spread.of(raw), "the peer"),
        Figure.median("cashews_keys_per_s", Spread.of(tags), "the peer"),
        Figure("worker_mb_small", small / MB, f"its processes after {sizes.small:,} keys", "MB"),
        Figure("worker_mb_large", large / MB, f"the same after {sizes.large:,} more", "MB"),
    ]
    return Report("invalidate", machine, options.quick, asdict(sizes), figures)


def _ratio(ours: Sequence[float], other: Sequence[float]) -> Spread:
    return Spread.of(a / b for a, b in zip(ours, other, strict=True))


def _fill(cache: Cache, keys: Sequence[str], number: int) -> None:
    """Every key into Redis, in trees as large as a tag of cashews; one edge in a batch changes."""
    tier, moment, now = cache.stores.redis, cache.stores.marks.now(), time.time()
    found = Found(Entry(VALUE, Stamp(moment), now, now + 3600), moment)
    for place, key in enumerate(keys):
        root, below = divmod(place, A_COMMAND)
        above = keys[root * A_COMMAND + (below - 1) // BRANCHES] if below else f"root:{root}"
        changed = place % AT_ONCE == AT_ONCE - 1 - number
        inputs = [above, f"other:{number}"] if changed else [above]
        assert tier.fill(key, found, dict.fromkeys(inputs, now))


def _invalidated(server: Bed, cache: Cache, keys: Sequence[str]) -> float:
    server.settle()
    begin = time.perf_counter()
    _done(cache.invalidate(part, consistency="strict") for part in _parts(keys, AT_ONCE))
    return time.perf_counter() - begin


def _done(asked: Iterator[ReceiptHandle]) -> list[Receipt]:
    handles = list(asked)
    receipts = [handle.wait(RECEIPT_S, purged=True) for handle in handles]
    if any(receipt.status is not Status.DONE for receipt in receipts):
        raise RuntimeError("strict did not succeed")
    return receipts


def _unlinked(server: Bed, peer: redis.Redis, keys: Sequence[str]) -> float:
    with peer.pipeline(transaction=False) as pipe:
        for key in keys:
            pipe.set(f"raw:{key}", VALUE)
        pipe.execute()
        server.settle()
        begin = time.perf_counter()
        for part in _parts(keys, A_COMMAND):
            pipe.unlink(*(f"raw:{key}" for key in part))
        removed = sum(pipe.execute())
        took = time.perf_counter() - begin
    if removed != len(keys):
        raise RuntimeError(f"UNLINK: {removed} of {len(keys)} keys were there")
    return took


async def _untagged(server: Bed, keys: int) -> float:
    cache = Cashews()
    cache.setup(server.url, client_side=False)
    cache.register_tag("part:{part}", "cashews:{part}:{number}")
    parts = range(max(1, keys // A_COMMAND))
    for part in parts:
        await asyncio.gather(
            *(
                cache.set(f"cashews:{part}:{number}", VALUE, expire=3600, tags=[f"part:{part}"])
                for number in range(A_COMMAND)
            )
        )
    server.settle()
    begin = time.perf_counter()
    for part in parts:
        await cache.delete_tags(f"part:{part}")
    took = time.perf_counter() - begin
    left = [await cache.get(f"cashews:{part}:0") for part in parts]
    await cache.close()
    if any(value is not None for value in left):
        raise RuntimeError("delete_tags left values")
    return took


def _one_by_one(cache: Cache, keys: Sequence[str]) -> float:
    begin = time.perf_counter()
    _done(cache.invalidate(key, consistency="strict") for key in keys)
    return time.perf_counter() - begin


def _grown(cache: Cache, pid: int, keys: int) -> int:
    """Invalidate so many keys that nobody holds; bytes of the worker's processes afterwards."""
    for part in _parts([f"none:{number}" for number in range(keys)], A_GROWN):
        _done(iter([cache.invalidate(part, consistency="strict")]))
    main = psutil.Process(pid)
    processes = [main, *main.children(recursive=True)]
    return sum(process.memory_full_info().pss for process in processes)


def _parts(keys: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    return (keys[start : start + size] for start in range(0, len(keys), size))
