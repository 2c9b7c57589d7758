"""How files are related by their names, and the order in which people page through a folder."""

from __future__ import annotations

import random

import pytest

from cachekeeper.core.relations import (
    STREAK,
    Relation,
    extension,
    following,
    natural,
    predecessors,
    relation,
    successor,
)

FOLDER = ["a/IMG_1.jpg", "a/IMG_2.jpg", "a/IMG_9.jpg", "a/IMG_10.jpg", "a/IMG_11.jpg", "a/z.txt"]


def test_numbers_inside_names_count_as_numbers() -> None:
    shuffled = random.Random(1).sample(FOLDER, len(FOLDER))
    assert sorted(shuffled, key=natural) == FOLDER


@pytest.mark.parametrize(
    "names",
    [
        ["a", "a1", "a1b", "a1b2", "a2", "b"],
        ["1", "2", "10", "a"],
        ["IMG_2", "img_3", "IMG_10"],  # case does not count
        ["page ٢", "page 3"],  # digits of any script are digits
        ["x2y9a", "x2y10", "x10y1"],
        ["v²", "v³"],  # superscripts are no digits, and no reason to fall over
    ],
)
def test_natural_order_is_an_order_of_all_names(names: list[str]) -> None:
    listed = random.Random(2).sample(names, len(names))
    assert sorted(listed, key=natural) == names


def test_the_next_files_of_the_folder_come_in_natural_order() -> None:
    assert following("a/IMG_9.jpg", FOLDER, 2) == ["a/IMG_10.jpg", "a/IMG_11.jpg"]


def test_the_last_file_has_no_next_one() -> None:
    assert following("a/z.txt", FOLDER, 3) == []


@pytest.mark.parametrize("limit", [0, 1, 5, 100])
def test_there_are_never_more_than_the_limit(limit: int) -> None:
    assert len(following("a/IMG_1.jpg", FOLDER, limit)) == min(limit, 5)


def test_what_follows_does_not_depend_on_how_the_folder_was_listed() -> None:
    expected = following("a/IMG_1.jpg", FOLDER, 9)
    for seed in range(5):
        listed = random.Random(seed).sample(FOLDER, len(FOLDER))
        assert following("a/IMG_1.jpg", listed, 9) == expected


def test_names_that_differ_only_in_zeros_or_case_follow_each_other() -> None:
    """In natural order they tie; paging through the folder meets both all the same."""
    folder = ["a/IMG_1.jpg", "a/IMG_01.jpg", "a/img_1.jpg"]
    listed = sorted(folder, key=lambda p: (natural(p), p))
    assert following(listed[0], folder, 9) == listed[1:]


@pytest.mark.parametrize(
    ("path", "after"),
    [
        ("a/IMG_9.jpg", "a/IMG_10.jpg"),
        ("a/IMG_09.jpg", "a/IMG_10.jpg"),
        ("a/IMG_099.jpg", "a/IMG_100.jpg"),
        ("2024-05-01/7", "2024-05-01/8"),
        ("2024/x.mp3", "2024/x.mp4"),  # the last number of the name, whatever it means
        ("2024/notes.txt", ""),  # a number of the folder is none of the name
        ("a/1234567890.jpg", ""),  # a hash or a time, and no place in a series
    ],
)
def test_the_next_of_a_series(path: str, after: str) -> None:
    assert successor(path) == after


def test_a_series_has_a_first_one() -> None:
    assert predecessors("a/IMG_02.jpg") == ["a/IMG_01.jpg", "a/IMG_00.jpg"]
    assert predecessors("a/notes") == []
    assert len(predecessors("a/IMG_20.jpg")) == STREAK


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("a/x.JPG", "jpg"),
        ("a.b/x", ""),
        (".bashrc", ""),
        ("x.", ""),
        ("x.tar.gz", "gz"),
        ("x.jpé", ""),
        ("x.deutlichlang", ""),
    ],
)
def test_extensions_are_short_and_of_ascii(path: str, found: str) -> None:
    assert extension(path) == found


@pytest.mark.parametrize(
    ("path", "other", "kind"),
    [
        ("a/IMG_1.jpg", "a/IMG_2.jpg", Relation.NEXT_AFTER_2),
        ("a/IMG_1.jpg", "a/IMG_3.jpg", Relation.FOLDER),
        ("a/IMG_2.jpg", "a/IMG_1.jpg", Relation.FOLDER),
        ("a/IMG_1.jpg", "a/IMG_1.xmp", Relation.STEM),
        ("a/IMG_1.jpg", "raw/IMG_1.dng", Relation.STEM),
        ("a/b/x.txt", "a/y.txt", Relation.PARENT),
        ("a/y.txt", "a/b/x.txt", Relation.PARENT),
        ("a/b/x.txt", "a/c/y.txt", Relation.NONE),
        ("x.txt", "a/y.txt", Relation.PARENT),
        ("x.txt", "y.txt", Relation.FOLDER),
    ],
)
def test_how_two_files_are_related(path: str, other: str, kind: Relation) -> None:
    assert relation(path, other, successor(path), 2) is kind


def test_every_relation_has_words_but_none() -> None:
    told = [kind.told for kind in Relation]
    assert len(set(told)) == len(told)
    assert Relation.NONE.told == ""
    assert Relation.NEXT_AFTER_2.told == "next in series, 2 before"
