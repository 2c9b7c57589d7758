"""Serializers: what comes out is what went in, and what can't go in is said."""

from __future__ import annotations

import math

import pytest

from cachekeeper.client.serializers import serializer
from cachekeeper.errors import InvalidInput


@pytest.mark.parametrize("body", [b"", b"\x00\xff\n", bytearray(b"ab"), memoryview(b"ab")])
def test_bytes_stay_bytes(body: bytes) -> None:
    dump, load = serializer("bytes")
    stored = dump(body)
    assert type(stored) is bytes
    assert load(stored) == bytes(body)


def test_later_changes_to_a_buffer_do_not_reach_what_was_stored() -> None:
    buffer = bytearray(b"before")
    stored = serializer("bytes").dump(buffer)
    buffer[:] = b"after!"
    assert stored == b"before"


@pytest.mark.parametrize("value", ["text", None, 1, ["a"], {"a": 1}])
def test_what_is_no_bytes_is_refused_by_its_type(value: object) -> None:
    with pytest.raises(InvalidInput) as refused:
        serializer("bytes").dump(value)
    assert refused.value.field == "value"
    assert type(value).__name__ in str(refused.value)


@pytest.mark.parametrize(
    "value", [None, True, 0, -1.5, "", "é\u2028\x00", "\ud800", [], {}, {"a": [1, {"b": None}]}]
)
def test_json_values_come_back_as_they_went(value: object) -> None:
    dump, load = serializer("json")
    assert load(dump(value)) == value


@pytest.mark.parametrize("value", [math.nan, math.inf, {1, 2}, b"a", object(), {"a": math.nan}])
def test_what_json_can_not_say_is_refused(value: object) -> None:
    with pytest.raises(InvalidInput, match=r"^value: .*JSON"):
        serializer("json").dump(value)


def test_a_value_that_holds_itself_is_refused() -> None:
    loop: list[object] = []
    loop.append(loop)
    with pytest.raises(InvalidInput, match=r"^value: "):
        serializer("json").dump(loop)


@pytest.mark.parametrize("name", ["", "pickle", "JSON", None])
def test_an_unknown_serializer_is_told_the_known_ones(name: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        serializer(name)
    assert (refused.value.field, refused.value.allowed) == ("serializer", "bytes, json")
