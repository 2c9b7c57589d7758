"""The algebra of stamps: it does not matter in which order a value was put together."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cachekeeper.core.stamps import (
    FOLD_BEYOND,
    POISON,
    Moment,
    Stamp,
    group_of,
    merged,
    own_sources,
    source_of_namespace,
    source_of_value,
    stamp_of_tags,
)

KEYS = ["a:1", "a:2", "b:1"]
SOURCES = ["k:a:1", "k:a:2", "k:b:1", "t:x", "n:a", "n:b", "g:a:1"]

moments = st.one_of(st.just(POISON), st.builds(Moment, st.integers(1, 2), st.integers(0, 6)))
stamps = st.builds(Stamp, moments, st.lists(st.sampled_from(SOURCES), unique=True).map(tuple))
keys = st.sampled_from(KEYS)
MARKED = [*SOURCES, *(source_of_value(key) for key in KEYS)]
marks = st.dictionaries(st.sampled_from(MARKED), st.integers(0, 6))


def same(one: Stamp, other: Stamp) -> bool:
    return one.as_of == other.as_of and set(one.sources) == set(other.sources)


def valid(key: str, stamp: Stamp, marked: dict[str, int], incarnation: int = 1) -> bool:
    """The rule of a read, as the specification has it."""
    sources = (*own_sources(key), *stamp.sources)
    after = [source for source in sources if marked.get(source, -1) > stamp.as_of.epoch]
    return stamp.as_of.incarnation == incarnation and not after


@given(stamps, stamps, stamps)
def test_merging_is_associative_commutative_and_idempotent(a: Stamp, b: Stamp, c: Stamp) -> None:
    assert same(merged([a, b]), merged([b, a]))
    assert same(merged([merged([a, b]), c]), merged([a, merged([b, c])]))
    assert same(merged([a, b, c]), merged([merged([a, b]), c]))
    assert same(merged([a, a]), a)
    assert same(merged([a]), a)


@given(stamps, stamps)
def test_a_merge_names_no_source_twice(a: Stamp, b: Stamp) -> None:
    sources = merged([a, b]).sources
    assert len(sources) == len(set(sources))


@given(stamps, stamps)
def test_poison_and_the_end_of_a_history_reach_all_that_is_made_of_it(a: Stamp, b: Stamp) -> None:
    both = merged([a, b]).as_of
    if POISON in (a.as_of, b.as_of) or a.as_of.incarnation != b.as_of.incarnation:
        assert both == POISON
    else:
        assert both == min(a.as_of, b.as_of)


@given(keys, stamps, keys, moments, marks)
def test_what_is_made_from_an_input_is_never_fresh_once_the_input_is_not(
    key: str, made: Stamp, above: str, found: Moment, marked: dict[str, int]
) -> None:
    """Found valid at a moment, and used: a mark of the input since then makes the result stale."""
    handed_on = made.handed_on(above, found)
    result = merged([Stamp(found), handed_on])
    if valid(key, result, marked):
        assert valid(above, Stamp(found, made.sources), marked | {source_of_value(above): 0})


@given(keys, stamps, keys, moments)
def test_a_mark_without_cascade_stops_at_the_value_it_names(
    key: str, made: Stamp, above: str, found: Moment
) -> None:
    if key != above and found.incarnation == 1:
        assert valid(key, made.handed_on(above, found), {source_of_value(above): 99})


@given(st.lists(st.sampled_from(["x", "y", "z"]), unique=True), st.integers(0, 6))
def test_each_source_of_a_value_is_enough_to_make_it_stale(tags: list[str], as_of: int) -> None:
    stamp = stamp_of_tags(tags, Moment(1, as_of))
    sources = {*own_sources("a:1"), *stamp.sources}
    assert len(sources) == 3 + len(tags)
    assert source_of_namespace("a") in sources
    for source in sources:
        assert not valid("a:1", stamp, {source: as_of + 1})
        assert valid("a:1", stamp, {source: as_of})


@given(st.integers(0, 3 * FOLD_BEYOND), moments)
def test_a_stored_stamp_is_short_and_as_old_as_it_was(many: int, as_of: Moment) -> None:
    stamp = Stamp(as_of, tuple(f"k:a:{i}" for i in range(many)))
    folded = stamp.folded("album:x")
    assert folded.as_of == as_of
    assert len(folded.sources) <= FOLD_BEYOND
    assert folded.sources in (stamp.sources, (group_of("album:x"),))
    assert folded.folded("album:x") == folded
