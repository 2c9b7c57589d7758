"""Dead letters as they are written, and which of them a selection means."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachekeeper.core.dead import Kind, Letter, Selection, kind_of
from cachekeeper.core.due import Work
from cachekeeper.errors import ForbiddenPath, InvalidInput, OriginMissing, OriginUnavailable

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
objects = st.dictionaries(st.text(), json_values, max_size=3)
times = st.floats(0, 1e11)


def letter(**other: Any) -> Letter:
    made: dict[str, Any] = {
        "id": "7",
        "work": {"task": "invalidation.request", "arguments": {"keys": ["Photo:Été"]}},
        "reason": "ValueError: Broken",
        "kind": Kind.GAVE_UP,
        "attempts": 2,
        "first_seen": 50.0,
        "died": 100.0,
    }
    return Letter(**made | other)


@given(objects, st.text(), st.sampled_from(Kind), st.integers(1), times, times)
def test_a_letter_is_read_as_it_was_written(
    work: dict[str, Any], reason: str, kind: Kind, attempts: int, first: float, died: float
) -> None:
    written = Letter("7", work, reason, kind, attempts, first, died)
    assert Letter.from_json("7", written.to_json()) == written
    assert isinstance(written.names, list), "whatever it is about"
    assert Selection().takes(written)


@given(objects, st.text(), st.integers(0), times, st.none() | times)
def test_work_is_read_as_it_was_written(
    arguments: dict[str, Any], text: str, retries: int, first: float, expires: float | None
) -> None:
    written = Work(text, text, text, arguments, retries, first, text, expires)
    assert Work.from_json(written.to_json()) == written


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        ({"keys": ["a:b"], "tags": ["t"], "namespaces": ["n"]}, ["a:b", "t", "n"]),
        ({"device": "phone", "path": "a.jpg"}, ["phone", "a.jpg"]),
        ({"keys": "a:b", "tags": [7]}, ["7"]),
        ([], []),
        (None, []),
    ],
)
def test_what_a_letter_is_about(arguments: object, names: list[str]) -> None:
    assert letter(work={"task": "x", "arguments": arguments}).names == names


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (InvalidInput("keys", 7, "texts"), Kind.MALFORMED),
        (ForbiddenPath("path", "..", "below"), Kind.MALFORMED),
        (OriginMissing("a.jpg"), Kind.PERMANENT),
        (OriginUnavailable("away"), Kind.GAVE_UP),
        (ZeroDivisionError(), Kind.GAVE_UP),
    ],
)
def test_the_kind_follows_from_the_error(error: Exception, kind: Kind) -> None:
    assert kind_of(error) is kind


@pytest.mark.parametrize(
    "selection",
    [
        Selection(),
        Selection(ids=frozenset({"7", "8"})),
        Selection(text="photo:"),
        Selection(text="ÉTÉ"),
        Selection(text="broken"),
        Selection(text="keys"),
        Selection(reason="valueerror"),
        Selection(task="invalidation.request"),
        Selection(since=100),
        Selection(frozenset({"7"}), "photo", "broken", "invalidation.request", 99),
    ],
)
def test_what_is_meant(selection: Selection) -> None:
    assert selection.takes(letter())


@pytest.mark.parametrize(
    "selection",
    [
        Selection(ids=frozenset({"8"})),
        Selection(text="gave up"),
        Selection(reason="photo"),
        Selection(task="invalidation"),
        Selection(since=100.5),
        Selection(frozenset({"7"}), "photo", "broken", "prefetch.fetch_file", 99),
    ],
    ids=str,
)
def test_what_is_not_meant(selection: Selection) -> None:
    assert not selection.takes(letter())
