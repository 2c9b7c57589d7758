"""Rules taken out of the product, in one process, to see that the checker misses them.

A process of the checker takes out what its environment names. What is replaced has to be there:
when the product changes, a removal that no longer fits fails loudly.
"""

from __future__ import annotations

import hashlib
import math
import os
import time
from collections.abc import Callable, Iterable
from typing import Final

from cachekeeper.client.cache import Cache
from cachekeeper.core.stamps import Found, Moment
from cachekeeper.services.confirm import Confirmer
from cachekeeper.store.memory import MemoryTier
from cachekeeper.store.redis import connection
from cachekeeper.store.redis.nodes import RedisNodes

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


def _swap(wanted: str, change: Callable[[str], str]) -> None:
    """Run another script in place of one of the product."""
    original = connection.script
    original.cache_clear()

    def swapped(name: str) -> connection.Script:
        found = original(name)
        if name != wanted:
            return found
        source = change(found.source)
        digest = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()
        return connection.Script(digest, source)

    _put(connection, "script", swapped)


def _put(where: object, name: str, instead: object) -> None:
    """Replace something that has to be there."""
    assert hasattr(where, name), f"not there any more: {name}"
    setattr(where, name, instead)


def _without(text: str, instead: str) -> Callable[[str], str]:
    def change(source: str) -> str:
        assert text in source, f"not in the script any more: {text}"
        return source.replace(text, instead)

    return change


def _check_on_read() -> None:
    _swap("read", _without("if marks[i] and tonumber(marks[i]) > as_of then", "if false then"))


def _check_on_fill() -> None:
    _swap("fill", _without("if mark and tonumber(mark) > as_of then", "if false then"))


def _membership() -> None:
    _swap("mark", _without("redis.call('SMEMBERS', ARGV[6] .. sources[i])", "{}"))


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

    def late(memory: MemoryTier, key: str, found: Found) -> Found | None:
        time.sleep(LATE_S)
        memory._marks.clear()
        memory._floor = 0
        return fill(memory, key, found)

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


def _changed_confirmer(change: Callable[[Confirmer], None]) -> None:
    init = Confirmer.__init__

    def changed(confirmer: Confirmer, **given: object) -> None:
        init(confirmer, **given)  # type: ignore[arg-type]
        change(confirmer)

    _put(Confirmer, "__init__", changed)


def _waiting_for_leases() -> None:
    def change(confirmer: Confirmer) -> None:
        confirmer._outwait_s = 0.0

    _changed_confirmer(change)


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
}
