"""A worker's order of queues: whoever is most urgent comes first, and nobody waits for ever."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from kombu.utils.scheduling import cycle_by_name

from cachekeeper.names import QUEUES, Queue
from workers.order import EXPIRED_AT_MOST, PriorityWithTurns

served = st.sets(st.sampled_from(QUEUES), min_size=1).map(
    lambda chosen: [queue for queue in QUEUES if queue in chosen]
)


def order_of(queues: Sequence[str]) -> PriorityWithTurns:
    order = PriorityWithTurns()
    order.update(queues)
    return order


def taken(order: PriorityWithTurns, full: Sequence[bool], queues: Sequence[str]) -> str | None:
    """What BRPOP takes from: the first, in the order of this turn, that holds anything."""
    holding = dict(zip(queues, full, strict=True))
    return next((queue for queue in order.consume(len(queues)) if holding[queue]), None)


@given(served, st.data())
def test_nobody_waits_longer_than_its_place_allows(queues: list[str], data: st.DataObject) -> None:
    """Whatever the others hold from turn to turn, and whenever the queue began to wait."""
    order = order_of(queues)
    for _ in range(data.draw(st.integers(0, 200), label="turns before")):
        order.consume(len(queues))
    place = data.draw(st.integers(0, len(queues) - 1), label="place")
    bound = 2 ** min(place + 1, len(queues) - 1)
    for _ in range(bound):
        others = data.draw(st.lists(st.booleans(), min_size=len(queues), max_size=len(queues)))
        others[place] = True
        if taken(order, others, queues) == queues[place]:
            return
    raise AssertionError(f"{queues[place]} was not taken from within {bound} turns")


@given(served, st.integers(0, 100))
def test_the_most_urgent_has_half_of_all_turns_and_waits_for_one(
    queues: list[str], before: int
) -> None:
    order = order_of(queues)
    for _ in range(before):
        order.consume(len(queues))
    full = [True] * len(queues)
    seen = [taken(order, full, queues) for _ in range(256)]
    assert seen.count(queues[0]) >= 128
    assert all(queues[0] in pair for pair in pairwise(seen))


@given(served)
def test_when_all_are_full_each_has_its_share(queues: list[str]) -> None:
    order = order_of(queues)
    seen = [taken(order, [True] * len(queues), queues) for _ in range(2 ** len(queues))]
    for place, queue in enumerate(queues[:-1]):
        assert seen.count(queue) == 2 ** (len(queues) - 1 - place)
    assert seen.count(queues[-1]) == (2 if len(queues) > 1 else len(seen))


@given(st.permutations(QUEUES))
def test_priority_is_that_of_the_names_whatever_the_order_of_declaration(
    queues: list[str],
) -> None:
    ours, theirs = order_of(queues), order_of(QUEUES)
    for _ in range(100):
        assert ours.consume(len(queues)) == theirs.consume(len(queues))


@given(served, st.integers(1, 300))
def test_every_turn_looks_at_every_queue_once(queues: list[str], turns: int) -> None:
    order = order_of(queues)
    for _ in range(turns):
        assert sorted(order.consume(len(queues))) == sorted(queues)


@given(served, st.integers(0, 100), st.data())
def test_what_has_expired_takes_no_turn(
    queues: list[str], before: int, data: st.DataObject
) -> None:
    """However many ticks expired, the first that did not is met at the turn of its queue."""
    order, undisturbed = order_of(queues), order_of(queues)
    for each in (order, undisturbed):
        for _ in range(before):
            each.consume(len(queues))
    queue = data.draw(st.sampled_from(queues), label="whose messages expired")
    for _ in range(data.draw(st.integers(1, EXPIRED_AT_MOST), label="expired")):
        order.expired(queue)
        assert order.consume(len(queues))[0] == queue
    for _ in range(2 ** len(queues)):
        assert order.consume(len(queues)) == undisturbed.consume(len(queues))


def test_expired_messages_without_end_leave_the_others_their_turns() -> None:
    order = order_of(QUEUES)
    for _ in range(20 * EXPIRED_AT_MOST):
        queue = order.consume(len(QUEUES))[0]
        if queue == Queue.IMMEDIATE:
            return
        order.expired(Queue.MAINTENANCE)
    raise AssertionError("the most urgent queue had no turn")


def test_queues_may_come_and_go() -> None:
    order = order_of([])
    assert order.consume(0) == []
    order.update([Queue.PREFETCH, "a stranger"])
    assert order.consume(2) == [Queue.PREFETCH, "a stranger"]
    assert order.rotate(Queue.PREFETCH) == Queue.PREFETCH
    assert order.consume(2) == ["a stranger", Queue.PREFETCH]
    order.update([Queue.PREFETCH])
    assert order.consume(1) == [Queue.PREFETCH]


def test_kombu_finds_it_by_the_name_in_the_configuration() -> None:
    assert cycle_by_name("workers.order:PriorityWithTurns") is PriorityWithTurns
