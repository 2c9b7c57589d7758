"""The algebra of stamps: it does not matter in which order a value was put together."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cachekeeper.core.stamps import POISON, Stamp, own_stamp

SOURCES = ["k:a:1", "k:a:2", "o:a:1", "o:a:2", "t:x", "n:a", "n:b"]

epochs = st.integers(POISON, 6)
stamps = st.builds(Stamp, epochs, st.lists(st.sampled_from(SOURCES), unique=True).map(tuple))
marks = st.dictionaries(st.sampled_from(SOURCES), st.integers(0, 6))


def same(one: Stamp, other: Stamp) -> bool:
    return one.as_of == other.as_of and set(one.sources) == set(other.sources)


def valid(stamp: Stamp, marked: dict[str, int]) -> bool:
    return stamp.valid(marked.get(source) for source in stamp.sources)


@given(stamps, stamps, stamps)
def test_merging_is_associative_commutative_and_idempotent(a: Stamp, b: Stamp, c: Stamp) -> None:
    assert same(a.merged(b), b.merged(a))
    assert same(a.merged(b).merged(c), a.merged(b.merged(c)))
    assert same(a.merged(a), a)


@given(stamps, stamps)
def test_a_merge_names_no_source_twice(a: Stamp, b: Stamp) -> None:
    sources = a.merged(b).sources
    assert len(sources) == len(set(sources))


@given(stamps, stamps, marks)
def test_what_is_made_from_two_is_never_fresh_when_one_of_them_is_not(
    a: Stamp, b: Stamp, marked: dict[str, int]
) -> None:
    if valid(a.merged(b), marked):
        assert valid(a, marked)
        assert valid(b, marked)


@given(stamps, marks)
def test_a_value_is_valid_if_and_only_if_nothing_it_was_made_from_was_marked_later(
    stamp: Stamp, marked: dict[str, int]
) -> None:
    later = [s for s in stamp.sources if marked.get(s, -1) > stamp.as_of]
    # No mark at all is not the same as an early one: poison is kept out by never being stored.
    assert valid(stamp, marked) == (not later)


@given(stamps, st.integers(0, 6), marks)
def test_what_a_valid_input_hands_on_goes_stale_with_any_later_mark_of_its_sources(
    stamp: Stamp, epoch: int, marked: dict[str, int]
) -> None:
    handed_on = stamp.handed_on(epoch)
    for source, at in marked.items():
        if source in stamp.sources and not source.startswith("o:") and at > epoch:
            assert not valid(handed_on, marked)


@given(st.lists(st.sampled_from(["x", "y", "z"]), unique=True), st.integers(0, 6))
def test_each_source_of_a_value_is_enough_to_make_it_stale(tags: list[str], as_of: int) -> None:
    stamp = own_stamp("a:1", "a", tags, as_of)
    assert len(set(stamp.sources)) == 3 + len(tags)
    for source in stamp.sources:
        assert not valid(stamp, {source: as_of + 1})
        assert valid(stamp, {source: as_of})
