"""Requests and receipts: every field that is wrong is named, and both travel as JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cachekeeper.core.receipt import Receipt, Status, pending_receipt
from cachekeeper.core.request import (
    MAX_BY,
    MAX_ID,
    MAX_NAMES,
    MAX_REASON,
    Request,
    make_request,
    request_from_wire,
)
from cachekeeper.core.stamps import (
    source_of_key,
    source_of_namespace,
    source_of_tag,
    source_of_value,
)
from cachekeeper.core.strategy import Consistency, Strategy
from cachekeeper.errors import InvalidInput

GOOD: dict[str, Any] = {"id": "r1", "at": 1.5, "keys": ["file:a"]}


def made(**fields: object) -> Request:
    return make_request(**{**GOOD, **fields})


def refused(**fields: object) -> InvalidInput:
    with pytest.raises(InvalidInput) as caught:
        made(**fields)
    return caught.value


def test_a_request_needs_no_more_than_an_id_a_time_and_one_name() -> None:
    request = made()
    assert request.strategy is Strategy.IMMEDIATE
    assert request.consistency is Consistency.EVENTUAL
    assert request.cascade is True
    assert request.reason == ""


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("id", "", "id"),
        ("id", "x" * (MAX_ID + 1), "id"),
        ("id", "a\nb", "id"),
        ("id", "\udcff", "id"),
        ("id", 7, "id"),
        ("id", None, "id"),
        ("at", "yesterday", "at"),
        ("at", -1, "at"),
        ("at", True, "at"),
        ("at", None, "at"),
        ("at", float("nan"), "at"),
        ("at", float("inf"), "at"),
        ("at", 1.7e12, "at"),  # milliseconds
        ("keys", "file:a", "keys"),  # a text is a list of letters to Python, not to us
        ("keys", None, "keys"),
        ("keys", 5, "keys"),
        ("keys", {"file:a": 1}, "keys"),
        ("keys", ["file:a", "bad"], "keys[1]"),
        ("keys", ["file:a", None], "keys[1]"),
        ("keys", [["file:a"]], "keys[0]"),
        ("keys", [b"file:a"], "keys[0]"),
        ("tags", "album", "tags"),
        ("tags", [""], "tags[0]"),
        ("tags", ["ok", 3], "tags[1]"),
        ("tags", ["a\x00"], "tags[0]"),
        ("namespaces", "file", "namespaces"),
        ("namespaces", ["file", "a:b"], "namespaces[1]"),
        ("namespaces", [None], "namespaces[0]"),
        ("strategy", "imediate", "strategy"),
        ("strategy", None, "strategy"),
        ("strategy", "", "strategy"),
        ("consistency", "strictly", "consistency"),
        ("consistency", 0, "consistency"),
        ("cascade", "yes", "cascade"),
        ("cascade", 1, "cascade"),
        ("cascade", None, "cascade"),
        ("reason", None, "reason"),
        ("reason", 5, "reason"),
        ("reason", "x" * (MAX_REASON + 1), "reason"),
        ("by", 5, "by"),
        ("by", "x" * (MAX_BY + 1), "by"),
        ("by", "\ud800", "by"),
        ("reason", "\ud800", "reason"),  # can't be written down, let alone sent
        ("priority", 1, "priority"),
        ("stratgy", "lazy", "stratgy"),
    ],
)
def test_a_wrong_field_is_named_with_what_is_allowed(field: str, value: object, named: str) -> None:
    error = refused(**{field: value})
    assert error.field == named
    assert error.allowed


def test_a_wrong_choice_lists_the_choices() -> None:
    assert refused(strategy="never").allowed == "immediate, scheduled, lazy, background"
    assert refused(consistency="never").allowed == "strict, eventual, relaxed"


def test_an_unknown_field_lists_the_known_ones() -> None:
    for name in (
        "keys",
        "tags",
        "namespaces",
        "strategy",
        "consistency",
        "cascade",
        "reason",
        "by",
    ):
        assert name in refused(key="file:a").allowed


def test_a_request_names_at_least_one_thing() -> None:
    assert refused(keys=[]).field == "keys"
    assert made(keys=[], tags=["album"]).tags == ("album",)
    assert made(keys=[], namespaces=["file"]).namespaces == ("file",)


def test_a_request_names_at_most_a_thousand_things_altogether() -> None:
    keys = [f"file:{i}" for i in range(MAX_NAMES - 2)]
    assert len(made(keys=keys, tags=["a"], namespaces=["file"]).seeds) == MAX_NAMES
    assert "1000" in refused(keys=keys, tags=["a", "b"], namespaces=["file"]).allowed


def test_what_is_named_twice_counts_once_and_order_stays() -> None:
    assert made(keys=["file:b", "file:a", "file:b"]).keys == ("file:b", "file:a")
    assert made(keys=["file:a"] * 5000).keys == ("file:a",)


@pytest.mark.parametrize("kind", [list, tuple, set, frozenset])
def test_names_come_in_any_plain_collection(kind: type) -> None:
    assert made(keys=kind(["file:a"])).keys == ("file:a",)


def test_the_seeds_of_a_cascade_are_what_dependents_carry() -> None:
    request = made(tags=["t"], namespaces=["n"])
    assert request.seeds == [source_of_key("file:a"), source_of_tag("t"), source_of_namespace("n")]


def test_without_cascade_only_the_value_itself_is_marked() -> None:
    assert made(cascade=False).seeds == [source_of_value("file:a")]


def test_a_request_comes_back_from_the_wire_as_it_went() -> None:
    request = made(
        keys=["file:é", "file:b"],
        tags=["t 1"],
        namespaces=["n"],
        strategy="background",
        consistency="strict",
        cascade=False,
        reason="a « reason »\nin two lines",
        by="shop:77 « till »",
        at=1_700_000_000.123456,
    )
    assert request_from_wire(json.loads(json.dumps(request.to_wire()))) == request


def test_the_wire_shows_keys_first_and_leaves_out_what_is_empty() -> None:
    """A dashboard cuts arguments at the end."""
    wire = made().to_wire()
    assert next(iter(wire)) == "keys"
    assert "tags" not in wire
    assert "namespaces" not in wire


def test_a_wire_from_elsewhere_is_checked_like_any_caller() -> None:
    with pytest.raises(InvalidInput, match="keys"):
        request_from_wire({"id": "a", "at": 0, "keys": "file:a"})


def test_the_receipt_of_an_accepted_request_is_pending_and_names_what_was_asked() -> None:
    receipt = pending_receipt(made(tags=["t"], namespaces=["n"], reason="why", by="till"))
    assert receipt.status is Status.PENDING
    assert not receipt.ended
    assert receipt.names == ["file:a", "t", "n"]
    assert (receipt.id, receipt.submitted, receipt.reason, receipt.by) == ("r1", 1.5, "why", "till")


@pytest.mark.parametrize("status", Status)
def test_a_receipt_comes_back_from_json_as_it_went(status: Status) -> None:
    receipt = pending_receipt(made(strategy="lazy", consistency="relaxed"))
    receipt.status, receipt.epoch, receipt.batch_removed = status, 12, {"disk": 1}
    back = Receipt.from_json(receipt.to_json())
    assert back == receipt
    assert (back.status, back.strategy) == (status, Strategy.LAZY)
    assert back.ended is (status != "pending")


@pytest.mark.parametrize("status", Status)
def test_a_receipt_is_json_of_plain_names(status: Status) -> None:
    receipt = pending_receipt(made())
    receipt.status = status
    plain = json.loads(receipt.to_json())
    assert plain["status"] == str(status)
    assert plain["consistency"] == "eventual"
