"""What a worker makes of messages that are wrong: a dead letter that says why, and no retry."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from celery import Celery

from cachekeeper.core.dead import Kind, Letter
from cachekeeper.core.request import Request
from cachekeeper.core.stamps import source_of_key
from cachekeeper.core.strategy import Consistency, Strategy
from cachekeeper.names import ROUTES, Task
from tests.tasks.conftest import Run, Send
from workers.wiring import Wiring

KEYS = ["photo:a"]
MALFORMED: dict[str, tuple[dict[str, Any], str, str]] = {
    # what is wrong: (fields, the field that the letter names, what it says is allowed)
    "a key without a namespace": ({"keys": ["photo"]}, "keys[0]", "namespace:rest"),
    "a key that is a number": ({"keys": ["photo:a", 7]}, "keys[1]", "namespace:rest"),
    "a key of control characters": ({"keys": ["photo:\n"]}, "keys[0]", "without control"),
    "a key that is too long": ({"keys": ["photo:" + "a" * 600]}, "keys[0]", "1 to 512 bytes"),
    "one text for a list": ({"keys": "photo:a"}, "keys", "a list of texts"),
    "no names at all": ({}, "keys", "1 to 100000 keys, tags and namespaces"),
    "an empty tag": ({"tags": [""]}, "tags[0]", "1 to 512 bytes"),
    "a namespace with a colon": ({"namespaces": ["a:b"]}, "namespaces[0]", "text that matches"),
    "a strategy of nobody": (
        {"keys": KEYS, "strategy": "imediate"},
        "strategy",
        ", ".join(Strategy),
    ),
    "a strategy that is a list": ({"keys": KEYS, "strategy": []}, "strategy", "immediate"),
    "a consistency of nobody": (
        {"keys": KEYS, "consistency": 3},
        "consistency",
        ", ".join(Consistency),
    ),
    "a cascade that is a word": ({"keys": KEYS, "cascade": "no"}, "cascade", "true or false"),
    "a reason that is a number": ({"keys": KEYS, "reason": 1}, "reason", "at most 200"),
    "a time before all times": ({"keys": KEYS, "at": -1}, "at", "seconds since 1970"),
    "an id that is empty": ({"keys": KEYS, "id": ""}, "id", "1 to 64"),
    "a field of nobody": (
        {"keys": KEYS, "key": "photo:a"},
        "key",
        ", ".join(Request.__dataclass_fields__),
    ),
}


@pytest.mark.parametrize(("fields", "field", "allowed"), MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_request_is_buried_and_changes_nothing(
    wiring: Wiring,
    send: Send,
    run: Run,
    letter: Callable[[], Letter],
    fields: dict[str, Any],
    field: str,
    allowed: str,
) -> None:
    task_id = send(Task.INVALIDATE, **fields)
    found = letter()
    assert found.reason.startswith(f"{field}: ")
    assert allowed in found.reason.partition("; allowed: ")[2]
    assert (found.kind, found.attempts) == (Kind.MALFORMED, 1)
    assert found.work == {
        "task": Task.INVALIDATE,
        "id": task_id,
        "queue": ROUTES[Task.INVALIDATE],
        "arguments": fields,
    }
    run(Task.HEARTBEAT)  # a retry would have come before this
    assert wiring.dead_letters.recent(10) == [found]
    assert wiring.cache.stores.marks.now().epoch == 0


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"device": "Phone", "paths": ["a.jpg"]}, "device"),
        ({"device": 7, "paths": ["a.jpg"]}, "device"),
        ({"device": "phone", "paths": ["a.jpg", "../a.jpg"]}, "paths[1]"),
        ({"device": "phone", "paths": [None]}, "paths[0]"),
        ({"device": "phone", "paths": "a.jpg"}, "paths"),
        ({"device": "phone", "paths": []}, "paths"),
        ({"device": "phone", "paths": ["a.jpg"] * 201}, "paths"),
        ({"device": "phone"}, "paths"),
        ({"paths": ["a.jpg"]}, "device"),
        ({"device": "phone", "paths": ["a.jpg"], "limit": 9}, "limit"),
        ({"device": "phone", "paths": ["a.jpg"], "at": "now"}, "at"),
        ({"device": "phone", "paths": ["a.jpg"], "at": None}, "at"),
        ({"device": "phone", "paths": ["a.jpg"], "until": True}, "until"),
        ({"device": "phone", "paths": ["a.jpg"], "until": 1e300}, "until"),
    ],
)
def test_a_malformed_access_is_buried(
    send: Send, letter: Callable[[], Letter], fields: dict[str, Any], field: str
) -> None:
    send(Task.PLAN, **fields)
    assert letter().reason.startswith(f"{field}: ")


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"device": "Phone"}, "device"),
        ({"path": "../a.jpg"}, "path"),
        ({"path": None}, "path"),
        ({"token": 7}, "token"),
        ({"origin": []}, "origin"),
        ({"incarnation": -1}, "incarnation"),
        ({"epoch": "1"}, "epoch"),
        ({"probability": 0}, "probability"),
        ({"until": "soon"}, "until"),
        ({"more": 1}, "more"),
    ],
)
def test_a_malformed_prefetch_is_buried(
    send: Send, letter: Callable[[], Letter], fields: dict[str, Any], field: str
) -> None:
    good: dict[str, Any] = {"device": "phone", "path": "a.jpg", "token": "t", "origin": "origin"}
    good |= {"incarnation": 1, "epoch": 0, "probability": 0.8, "until": 1e10}
    send(Task.PREFETCH, **{**good, **fields})
    assert letter().reason.startswith(f"{field}: ")


def test_a_message_in_pickle_is_refused_unread(
    wiring: Wiring, run: Run, celery_session_app: Celery, letter: Callable[[], Letter]
) -> None:
    celery_session_app.send_task(
        Task.INVALIDATE,
        kwargs={"keys": KEYS},
        queue=ROUTES[Task.INVALIDATE],
        serializer="pickle",
    )
    assert letter().reason.startswith("content-type: 'application/x-python-serialize'")
    run(Task.INVALIDATE, keys=["photo:b"])
    marks = wiring.cache.stores.marks
    assert marks.now().epoch == 1
    assert marks.last([source_of_key("photo:a")]) is None
    assert marks.last([source_of_key("photo:b")]) is not None
