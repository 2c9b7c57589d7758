"""Stamps: what a value says of itself, and what it hands on (DESIGN 3, T)."""

from __future__ import annotations

from cachekeeper.core.stamps import (
    FOLD_BEYOND,
    POISON,
    Entry,
    Moment,
    Stamp,
    group_of,
    merged,
    own_sources,
    source_of_key,
    source_of_namespace,
    source_of_tag,
    source_of_value,
    stamp_of_tags,
)


def at(epoch: int, incarnation: int = 1) -> Moment:
    return Moment(incarnation, epoch)


def test_key_value_tag_namespace_and_group_of_one_name_are_five_sources() -> None:
    makers = (source_of_key, source_of_value, source_of_tag, source_of_namespace, group_of)
    assert len({make("a") for make in makers}) == 5
    # No name of one kind can pass for one of another.
    assert source_of_tag("k:a") not in {source_of_key("a"), source_of_key("k:a")}


def test_a_value_is_made_from_itself_its_key_and_its_namespace() -> None:
    assert set(own_sources("thumb:a:b")) == {
        source_of_value("thumb:a:b"),
        source_of_key("thumb:a:b"),
        source_of_namespace("thumb"),
    }


def test_a_stamp_says_the_tags_and_not_what_the_key_tells_anyway() -> None:
    stamp = stamp_of_tags(["album", "holiday"], at(7))
    assert stamp == Stamp(at(7), (source_of_tag("album"), source_of_tag("holiday")))


def test_an_input_hands_on_the_moment_of_the_read_and_not_of_its_fill() -> None:
    assert Stamp(at(3)).handed_on("file:a", at(9)).as_of == at(9)


def test_an_input_hands_on_all_that_it_was_made_from_but_its_own_value() -> None:
    """So that an invalidation without cascade stops at the value it names."""
    handed_on = stamp_of_tags(["album"], at(3)).handed_on("file:a", at(9))
    assert set(handed_on.sources) == {
        source_of_key("file:a"),
        source_of_namespace("file"),
        source_of_tag("album"),
    }


def test_what_is_made_from_two_is_as_old_as_the_older_and_made_from_both() -> None:
    both = merged([Stamp(at(4), ("k:a:1", "n:a")), Stamp(at(2), ("k:a:2", "n:a"))])
    assert both == Stamp(at(2), ("k:a:1", "n:a", "k:a:2"))


def test_what_is_made_from_values_of_two_histories_is_poison() -> None:
    """At least one of the two has ended, and with it all that was valid in it."""
    both = merged([Stamp(at(4, incarnation=1)), Stamp(at(4, incarnation=2))])
    assert both.as_of == POISON


def test_poison_outlives_every_merge() -> None:
    clean, poisoned = Stamp(at(8), ("k:a:1",)), Stamp(POISON, ("k:a:2",))
    assert merged([clean, poisoned]).as_of == merged([poisoned, clean]).as_of == POISON
    handed_on = poisoned.handed_on("a:2", POISON)
    assert merged([handed_on, clean]).as_of == POISON
    assert merged([merged([clean, poisoned]), clean]).as_of == POISON


def test_few_sources_stay_and_one_more_folds_them_all_into_a_group() -> None:
    few = Stamp(at(1), tuple(f"k:a:{i}" for i in range(FOLD_BEYOND)))
    assert few.folded("album:x") is few
    many = Stamp(at(1), (*few.sources, "t:one more"))
    assert many.folded("album:x") == Stamp(at(1), (group_of("album:x"),))


def test_an_entry_is_as_large_as_its_bytes() -> None:
    assert Entry("é".encode(), Stamp(at(0)), 0, 1).size == 2
