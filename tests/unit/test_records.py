"""Which records are meant."""

from __future__ import annotations

import os
import re
from typing import Any

import pytest

from cachekeeper.client.identity import this_process
from cachekeeper.core.receipt import Receipt, Status, failed_receipt, pending_receipt
from cachekeeper.core.records import check_since, make_selection
from cachekeeper.core.request import MAX_BY, make_request
from cachekeeper.errors import InvalidInput


def receipt(**fields: Any) -> Receipt:
    given = {"id": "r", "at": 1.0, "keys": ["note:milk"], "by": "shop:7 till"}
    return failed_receipt(make_request(**given | fields), "broken", 2.0)


@pytest.mark.parametrize(
    ("conditions", "taken"),
    [
        ({}, True),
        ({"status": "failed"}, True),
        ({"status": ["done", "failed"]}, True),
        ({"status": "done"}, False),
        ({"strategy": "lazy"}, False),
        ({"strategy": ["immediate", "lazy"], "consistency": "eventual"}, True),
        ({"consistency": "strict"}, False),
        ({"key": "note:milk"}, True),
        ({"key": "note:mil"}, False),
        ({"name": "mil"}, True),
        ({"name": "bread"}, False),
        ({"by": "till"}, True),
        ({"by": "till", "name": "bread"}, False),
    ],
)
def test_conditions_hold_together(conditions: dict[str, Any], taken: bool) -> None:
    assert make_selection(**conditions).takes(receipt()) is taken


def test_a_key_counts_when_it_was_affected() -> None:
    done = receipt()
    done.affected = ["note:milk", "page:all"]
    assert make_selection(key="page:all").takes(done)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("status", "gone"),
        ("status", 5),
        ("status", [["done"]]),
        ("strategy", "never"),
        ("consistency", ""),
        ("key", "nokey"),
        ("key", 5),
        ("name", None),
        ("by", 5),
    ],
)
def test_a_condition_that_is_malformed_is_named(field: str, value: object) -> None:
    with pytest.raises(InvalidInput, match=f"^{field}: ") as caught:
        make_selection(**{field: value})
    assert "; allowed: " in str(caught.value)


@pytest.mark.parametrize("value", ["1h", -1, True, float("nan"), float("inf")])
def test_since_is_a_number_of_seconds(value: object) -> None:
    with pytest.raises(InvalidInput, match=r"^since_s: "):
        check_since(value)


def test_a_receipt_of_a_later_version_can_be_read() -> None:
    text = receipt().to_json().replace("{", '{"mood": "fine", ', 1)
    assert Receipt.from_json(text) == receipt()


def test_a_receipt_without_who_asked_can_be_read() -> None:
    text = receipt().to_json().replace('"by": "shop:7 till", ', "")
    assert Receipt.from_json(text).by == ""


def test_what_stands_for_a_request_is_told_in_its_own_name() -> None:
    asked = pending_receipt(make_request(id="a", at=3.0, keys=["note:a"], by="one", reason="why"))
    told = asked.as_done_by(receipt(id="b"))
    assert (told.id, told.merged_into, told.status) == ("a", "b", Status.FAILED)
    assert (told.by, told.reason, told.names, told.submitted) == ("one", "why", ["note:a"], 3.0)


def test_a_process_has_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    for argv, program in (
        (["/usr/bin/till.py"], "till.py"),
        (["-c"], "python"),
        ([], "python"),
        (["/a/celery/__main__.py"], "celery"),
        (["/a/\x1b[31m" + "x" * 500], "?[31m" + "x" * 75),
    ):
        monkeypatch.setattr("sys.argv", argv)
        assert re.fullmatch(rf"\S+:{os.getpid()} {re.escape(program)}", this_process())
        assert len(this_process()) <= MAX_BY
