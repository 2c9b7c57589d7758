"""The bound of the memory tier against what the process really holds."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from cachekeeper.core.stamps import Entry, Found, Moment, Stamp
from cachekeeper.store.memory import MARKS_SHARE, MemoryTier

BOUND = 2 * 1024 * 1024
HISTORY, EPOCH = "1700000000000000", "1000"
EXPIRES = "4e9"
CALLS = 4  # deep enough to see this file below whatever allocates

Made = Callable[[int], tuple[str, Found]]


def memory_tier() -> MemoryTier:
    memory = MemoryTier(BOUND, lambda: 0.0)
    memory.lease_until = 1.0
    memory.open(Moment(int(HISTORY), int(EPOCH)))
    return memory


@contextmanager
def traced() -> Iterator[Callable[[], int]]:
    """Bytes allocated since by what is called here, and not freed.

    Threads that other tests left behind allocate as well.
    """
    gc.collect()
    tracemalloc.start(CALLS)
    try:
        yield lambda: sum(trace.size for trace in called_here(tracemalloc.take_snapshot()).traces)
    finally:
        tracemalloc.stop()


def called_here(snapshot: tracemalloc.Snapshot) -> tracemalloc.Snapshot:
    return snapshot.filter_traces([tracemalloc.Filter(True, __file__, all_frames=True)])


def found(size: int, sources: tuple[str, ...] = ()) -> Found:
    """As a server's answer makes it: it shares nothing with any other."""
    made = Moment(int(HISTORY), int(EPOCH))
    entry = Entry(bytes(size), Stamp(made, sources), float("1.5"), float(EXPIRES))
    return Found(entry, Moment(made.incarnation, int(EPOCH)))


def tiny(i: int) -> tuple[str, Found]:
    return f"note:{i}", found(2)


def long_names(i: int) -> tuple[str, Found]:
    return f"note:{i:0>150}", found(20)


def names_of_other_scripts(i: int) -> tuple[str, Found]:
    return f"note:猫{i:0>60}", found(20)


def shared_sources(i: int) -> tuple[str, Found]:
    return f"page:{i}", found(100, tuple(f"k:part:{j}" for j in range(40)))


def sources_of_its_own(i: int) -> tuple[str, Found]:
    return f"page:{i}", found(100, tuple(f"k:part:{i}.{j}" for j in range(4)))


def a_namespace_of_its_own(i: int) -> tuple[str, Found]:
    return f"room{i}:a", found(10)


def pages(i: int) -> tuple[str, Found]:
    return f"page:{i}", found(4096, (f"t:of {i % 100}",))


@pytest.mark.parametrize(
    "made",
    [
        tiny,
        long_names,
        names_of_other_scripts,
        shared_sources,
        sources_of_its_own,
        a_namespace_of_its_own,
        pages,
    ],
)
def test_what_is_held_stays_within_the_bound_and_near_it(made: Made) -> None:
    memory, filled = memory_tier(), 0
    with traced() as held:
        while filled < 2.5 * len(memory) + 100:  # it is full, and has been for a while
            key, value = made(filled)
            assert memory.fill(key, value) is value
            filled += 1
        gc.collect()
        assert 0.7 * BOUND < held() < 1.05 * BOUND
    assert 0.98 * BOUND < memory.bytes <= BOUND
    memory.remove([made(i)[0] for i in range(filled)])
    assert (len(memory), memory.bytes) == (0, 0), "what is gone is not counted"


def test_marks_are_counted_and_take_a_share_only() -> None:
    memory = memory_tier()
    share = BOUND * MARKS_SHARE
    with traced() as held:
        for i in range(6_000):
            memory.apply(int(EPOCH) + i, [f"k:note:{i}"])
        assert 0.7 * share < held() < 1.3 * share
    assert 0.99 * share < memory.bytes <= share
    for i in range(6_000):
        memory.fill(*tiny(i))
    assert memory.bytes <= BOUND


def test_a_pin_is_kept_whatever_else_is_read() -> None:
    memory = memory_tier()
    memory.fill(*tiny(0))
    assert memory.pin("note:0")
    for i in range(1, 6_000):
        memory.fill(*tiny(i))
    assert memory.hit("note:0")
    assert not memory.hit("note:1")
