"""Stamps: what a value says of itself, and what it hands on (DESIGN 3, T)."""

from __future__ import annotations

from cachekeeper.core.stamps import (
    POISON,
    Entry,
    Stamp,
    own_stamp,
    source_of_key,
    source_of_namespace,
    source_of_tag,
    source_of_value,
)


def test_key_value_tag_and_namespace_of_one_name_are_four_sources() -> None:
    makers = (source_of_key, source_of_value, source_of_tag, source_of_namespace)
    assert len({make("a") for make in makers}) == 4
    # No name of one kind can pass for one of another.
    assert source_of_tag("k:a") not in {source_of_key("a"), source_of_key("k:a")}


def test_a_value_is_made_from_itself_its_tags_and_its_namespace() -> None:
    stamp = own_stamp("thumb:a", "thumb", ["album", "holiday"], 7)
    assert stamp.as_of == 7
    assert set(stamp.sources) == {
        source_of_value("thumb:a"),
        source_of_key("thumb:a"),
        source_of_namespace("thumb"),
        source_of_tag("album"),
        source_of_tag("holiday"),
    }


def test_a_value_is_valid_until_a_source_is_marked_later_than_it() -> None:
    stamp = Stamp(5, ("k:a:1", "k:a:2"))
    assert stamp.valid([None, None])
    assert stamp.valid([5, None])  # marked before it was made: it has seen that already
    assert stamp.valid([4, 5])
    assert not stamp.valid([None, 6])
    assert not stamp.valid([6, 1])


def test_an_input_hands_on_the_epoch_of_the_read_and_not_of_its_fill() -> None:
    stamp = own_stamp("file:a", "file", [], 3).handed_on(9)
    assert stamp.as_of == 9


def test_an_input_hands_on_all_that_it_was_made_from_but_its_own_value() -> None:
    """So that an invalidation without cascade stops at the value it names."""
    handed_on = own_stamp("file:a", "file", ["album"], 3).handed_on(9)
    assert set(handed_on.sources) == {
        source_of_key("file:a"),
        source_of_namespace("file"),
        source_of_tag("album"),
    }


def test_what_is_made_from_two_is_as_old_as_the_older_and_made_from_both() -> None:
    merged = Stamp(4, ("k:a:1", "n:a")).merged(Stamp(2, ("k:a:2", "n:a")))
    assert merged == Stamp(2, ("k:a:1", "n:a", "k:a:2"))


def test_poison_outlives_every_merge() -> None:
    clean, poisoned = Stamp(8, ("k:a:1",)), Stamp(POISON, ("k:a:2",))
    assert clean.merged(poisoned).as_of == poisoned.merged(clean).as_of == POISON
    assert poisoned.handed_on(POISON).merged(clean).as_of == POISON


def test_an_entry_is_as_large_as_its_bytes() -> None:
    assert Entry("é".encode(), Stamp(0, ()), 0, 1).size == 2
