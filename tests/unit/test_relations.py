"""Neighbours: the order in which people page through a folder."""

from __future__ import annotations

import random

import pytest

from cachekeeper.core.relations import natural, neighbours

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


def test_the_next_files_of_the_folder_come_first() -> None:
    assert neighbours("a/IMG_9.jpg", FOLDER, {}, 2) == ["a/IMG_10.jpg", "a/IMG_11.jpg"]


def test_the_last_file_has_no_next_one() -> None:
    assert neighbours("a/z.txt", FOLDER, {}, 3) == []


def test_what_was_read_next_more_than_once_comes_before_the_folder() -> None:
    seen = {"b/far.jpg": 2.0, "b/often.jpg": 5.0, "b/once.jpg": 1.0}
    assert neighbours("a/IMG_1.jpg", FOLDER, seen, 3) == [
        "b/often.jpg",
        "b/far.jpg",
        "a/IMG_2.jpg",
    ]


def test_no_neighbour_is_named_twice_and_none_is_the_file_itself() -> None:
    seen = {"a/IMG_1.jpg": 9.0, "a/IMG_2.jpg": 3.0}
    assert neighbours("a/IMG_1.jpg", FOLDER, seen, 9) == FOLDER[1:]


@pytest.mark.parametrize("limit", [0, 1, 5, 100])
def test_there_are_never_more_neighbours_than_the_limit(limit: int) -> None:
    found = neighbours("a/IMG_1.jpg", FOLDER, {f"b/{i}": 2.0 for i in range(9)}, limit)
    assert len(found) == min(limit, 14)


def test_the_neighbours_do_not_depend_on_how_the_folder_was_listed() -> None:
    expected = neighbours("a/IMG_1.jpg", FOLDER, {}, 9)
    for seed in range(5):
        listed = random.Random(seed).sample(FOLDER, len(FOLDER))
        assert neighbours("a/IMG_1.jpg", listed, {}, 9) == expected


def test_names_that_differ_only_in_zeros_or_case_are_neighbours_too() -> None:
    """In natural order they tie; paging through the folder meets both all the same."""
    folder = ["a/IMG_1.jpg", "a/IMG_01.jpg", "a/img_1.jpg"]
    listed = sorted(folder, key=lambda p: (natural(p), p))
    assert neighbours(listed[0], folder, {}, 9) == listed[1:]
