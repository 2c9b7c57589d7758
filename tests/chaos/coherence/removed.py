"""Rules taken out of the product, in one process, to see that the checker misses them.

A process of the checker takes out what its environment names. What is replaced has to be there:
when the product changes, a removal that no longer fits fails loudly.
"""

from __future__ import annotations

import asyncio
import math
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextvars import ContextVar
from typing import Any, Final

from cachekeeper.client import aio_reading, cache
from cachekeeper.client.aio_reading import AsyncFill, AsyncReading
from cachekeeper.client.cache import Cache
from cachekeeper.client.fill import Fill
from cachekeeper.client.inherited import Inherited
from cachekeeper.client.reading import ReadThrough, Recipe, made
from cachekeeper.client.sources import Input
from cachekeeper.core import request
from cachekeeper.core.ports.tiers import Inputs
from cachekeeper.core.request import Request
from cachekeeper.core.stamps import POISON, Found, Moment, source_of_key
from cachekeeper.core.strategy import STRATEGIES
from cachekeeper.services.confirm import Confirmer
from cachekeeper.store.memory import MemoryTier
from cachekeeper.store.redis.marks import RedisMarks
from cachekeeper.store.redis.nodes import RedisNodes
from tests.chaos.removing import put as _put
from tests.chaos.removing import swap as _swap
from tests.chaos.removing import without as _without

VARIABLE: Final = "CHAOS_ABLATION"
#: Makes the race between a fill of memory and the log as wide as a slow machine would.
LATE_S: Final = 0.004

_CLOCK_OF_ONE_HISTORY: Final = """\
#!lua flags=allow-oom
redis.call('HSETNX', KEYS[1], 'incarnation', '1')
redis.call('HSETNX', KEYS[1], 'epoch', '1')
local clock = redis.call('HMGET', KEYS[1], 'incarnation', 'epoch')
return {tonumber(clock[1]), tonumber(clock[2])}
"""


def apply() -> None:
    """Take out what the environment names; usually nothing."""
    if name := os.environ.get(VARIABLE):
        REMOVALS[name]()


def _check_on_read() -> None:
    _swap("read", _without("if found[i] and tonumber(found[i]) > as_of then", "if false then"))


def _check_on_fill() -> None:
    _swap("fill", _without("if mark and tonumber(mark) > as_of then", "if false then"))


def _membership() -> None:
    _swap("mark", _without("redis.call('SMEMBERS', ARGV[8] .. sources[i])", "{}"))


def _incarnations() -> None:
    _swap("clock", lambda _: _CLOCK_OF_ONE_HISTORY)


def _drop_from_memory() -> None:
    def apply_nothing(memory: MemoryTier, epoch: int, _: Iterable[str]) -> int:
        moment: Moment = memory.applied
        memory.applied = moment._replace(epoch=max(moment.epoch, epoch))
        return 0

    _put(MemoryTier, "apply", apply_nothing)


def _refusal_of_late_fills() -> None:
    fill = MemoryTier.fill

    def late(
        memory: MemoryTier, key: str, found: Found, inputs: Inputs | None = None
    ) -> Found | None:
        time.sleep(LATE_S)
        memory._marks.clear()
        memory._mark_bytes = 0
        memory._floor = 0
        return fill(memory, key, found, inputs)

    _put(MemoryTier, "fill", late)


def _lease() -> None:
    for_ever = property(lambda _: math.inf, lambda _, __: None)
    MemoryTier.lease_until = for_ever  # type: ignore[assignment]  # set by instances, in vain


def _drop_at_fork() -> None:
    _put(Cache, "_forked", lambda _: None)


def _acknowledgements() -> None:
    def by_nobody(nodes: RedisNodes, _epoch: int, _s: float) -> tuple[int, dict[str, int]]:
        return nodes.acknowledged()[0], {}

    _put(RedisNodes, "wait", by_nobody)
    _put(RedisNodes, "fence", lambda *_: [])


def _declared_later() -> None:
    _swap("declare", _without("redis.call('SADD', ARGV[4] .. ARGV[i], ARGV[1])", ""))


def _declared_too_late() -> None:
    _swap("declare", _without("fresh = 0", "fresh = 1"))


def _inheritance() -> None:
    _put(cache, "inherited", lambda keys, *_: Inherited(list(map(source_of_key, keys)), {}))


def _moment_of_a_fill() -> None:
    put, put_awaited = Fill.put, AsyncFill.put

    def late(fill: Fill, value: object) -> bool:
        time.sleep(5 * LATE_S)
        fill._as_of = fill._reading.now()
        return put(fill, value)

    async def late_awaited(fill: AsyncFill, value: object) -> bool:
        await asyncio.sleep(5 * LATE_S)
        fill._as_of = fill._reading.now()
        return await put_awaited(fill, value)

    _put(Fill, "put", late)
    _put(AsyncFill, "put", late_awaited)


def _moment_of_an_awaited_loader() -> None:
    make = AsyncReading._make
    used: ContextVar[ReadThrough] = ContextVar("used")

    async def making(reads: AsyncReading, key: str, reading: ReadThrough, *how: Any) -> Found:
        used.set(reading)
        return await make(reads, key, reading, *how)

    def late(
        body: bytes, recipe: Recipe, as_of: Moment, inputs: Mapping[str, Input], load_s: float
    ) -> Found:
        if as_of == POISON:
            return made(body, recipe, as_of, inputs, load_s)
        time.sleep(LATE_S)
        return made(body, recipe, used.get().now(), inputs, load_s)

    _put(AsyncReading, "_make", making)
    _put(aio_reading, "made", late)


def _marks_of(kind: str) -> Callable[[], None]:
    return lambda: _put(request, f"source_of_{kind}", lambda name: f"x:{name}")


def _marks_unless(left_out: Callable[[Request], bool]) -> None:
    mark = RedisMarks.mark

    def only_of_others(marks: RedisMarks, wanted: Sequence[Request], now: float) -> list[Moment]:
        return [
            marks.now() if left_out(request) else mark(marks, [request], now)[0]
            for request in wanted
        ]

    _put(RedisMarks, "mark", only_of_others)


def _marks_of_what_waited() -> None:
    _marks_unless(lambda wanted: STRATEGIES[wanted.strategy].waits)


def _marks_at(level: str) -> Callable[[], None]:
    return lambda: _marks_unless(lambda wanted: wanted.consistency == level)


def _changed_confirmer(change: Callable[[Confirmer], None]) -> None:
    init = Confirmer.__init__

    def changed(confirmer: Confirmer, **given: object) -> None:
        init(confirmer, **given)  # type: ignore[arg-type]
        change(confirmer)

    _put(Confirmer, "__init__", changed)


def _waiting_for_leases() -> None:
    _put(RedisNodes, "outwait_s", lambda *_: 0.0)


def _grace() -> None:
    def change(confirmer: Confirmer) -> None:
        confirmer._known_for = lambda _: math.inf

    _changed_confirmer(change)


REMOVALS: Final[dict[str, Callable[[], None]]] = {
    "stamp check on read": _check_on_read,
    "stamp check on fill": _check_on_fill,
    "drop from memory": _drop_from_memory,
    "refusal of late fills": _refusal_of_late_fills,
    "acknowledgements": _acknowledgements,
    "waiting for leases": _waiting_for_leases,
    "lease": _lease,
    "incarnations": _incarnations,
    "grace": _grace,
    "group membership": _membership,
    "drop at fork": _drop_at_fork,
    "marks of tags": _marks_of("tag"),
    "marks of namespaces": _marks_of("namespace"),
    "marks of single values": _marks_of("value"),
    "marks of what waited": _marks_of_what_waited,
    "eventual marks": _marks_at("eventual"),
    "relaxed marks": _marks_at("relaxed"),
    "moment of a fenced fill": _moment_of_a_fill,
    "moment of an awaited loader": _moment_of_an_awaited_loader,
    "declared dependencies": _declared_later,
    "those declared too late": _declared_too_late,
    "those that they inherit": _inheritance,
}
