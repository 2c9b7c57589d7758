"""The pages on the wire contract say what the code does."""

from __future__ import annotations

import base64
import dataclasses
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_type_hints

from cachekeeper.core.receipt import Receipt, Status
from cachekeeper.core.request import Request, request_from_wire
from cachekeeper.core.strategy import STRATEGIES
from cachekeeper.names import Task

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = (DOCS / "wire.md").read_text(encoding="utf-8")
TASKS = (DOCS / "tasks.md").read_text(encoding="utf-8")

#: What the page calls the types of a receipt's fields.
JSON_OF: Mapping[Any, str] = {
    str: "string",
    bool: "boolean",
    int: "number",
    float: "number",
    list[str]: "array of strings",
    dict[str, int]: "object of numbers",
}


def table(page: str, head: str) -> list[list[str]]:
    """The rows of the first table that begins with ``head``."""
    found, *_ = re.findall(
        rf"^{re.escape(head)}\n\|[-|]+\|\n((?:\|.*\n)+)", page, flags=re.MULTILINE
    )
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in found.splitlines()]


def block(language: str) -> str:
    """The one fenced block of a language on the page."""
    (found,) = re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL)
    return str(found)


def test_every_field_of_a_receipt_is_on_the_page_with_its_type() -> None:
    hints = get_type_hints(Receipt)
    said = [(name, kind) for name, kind, _ in table(PAGE, "| field | JSON | what |")]
    assert said == [
        (f"`{field.name}`", JSON_OF.get(hints[field.name], "string"))
        for field in dataclasses.fields(Receipt)
    ]


def test_every_status_is_on_the_page() -> None:
    (status,) = [
        what for name, _, what in table(PAGE, "| field | JSON | what |") if "status" in name
    ]
    assert set(re.findall(r"`(\w+)`", status)) == set(Status)


def test_the_list_of_each_strategy_is_on_the_page() -> None:
    rules = [[f"`{name}`", f"`{rule.queue}`"] for name, rule in STRATEGIES.items()]
    assert table(PAGE, "| strategy | list |") == rules


def test_every_field_of_a_request_is_on_the_page_of_tasks() -> None:
    rows = table(TASKS, "| field | type | default |")
    said = [name for row in rows for name in re.findall(r"`(\w+)`", row[0])]
    assert sorted(said) == sorted(field.name for field in dataclasses.fields(Request))


def test_the_message_on_the_page_holds_the_request_that_it_says() -> None:
    message = json.loads(block("json"))
    body = base64.b64decode(message["body"]).decode()
    assert body == block("text").strip()
    arguments, fields, _ = json.loads(body)
    assert arguments == []
    assert request_from_wire({"at": 0, **fields}).keys == ("note:milk",)
    assert message["headers"]["task"] == Task.INVALIDATE
