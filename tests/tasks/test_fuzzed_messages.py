"""Messages of the right shape with wild values, and of wrong shapes, through the real worker.

``tests/property/test_messages.py`` has the envelope; this is about what the tasks are given. Each
ends in one of three ways, whatever it is: it is done, it waits, or it is a letter that says why.
"""

from __future__ import annotations

import dataclasses
import json
import uuid
from typing import Any

import pytest
from celery import Celery
from hypothesis import given, settings
from hypothesis import strategies as st

from cachekeeper.core.dead import Letter
from cachekeeper.core.request import Request, make_request
from cachekeeper.core.strategy import Consistency, Strategy
from cachekeeper.errors import InvalidInput
from cachekeeper.names import ROUTES, Task
from tests.property.canary import lost_texts
from tests.property.profile import PROFILE
from tests.support import wait_until
from tests.tasks.conftest import Run
from workers.wiring import Wiring

WAIT_S = 15.0
#: Each is a message through the broker and the worker.
FEWER = settings(PROFILE, max_examples=max(30, PROFILE.max_examples // 3))

leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    lost_texts(),
    st.sampled_from(
        ["photo:a", "photo:é", "a:" + "x" * 510, "a:\n", ":", "strict", "x" * 64, 10**30]
    ),
)
wild = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=4,
)
key = st.one_of(
    st.tuples(st.sampled_from(["a", "b.c", "0"]), st.text(min_size=1, max_size=30)).map(":".join),
    st.sampled_from(["photo:a", "photo:" + "\U0001f600" * 126, "a:b:c", "a: "]),
)


def either(good: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Mostly of the right shape."""
    return st.one_of(good, good, good, wild)


fields = {
    "keys": either(st.lists(key, min_size=1, max_size=4)),
    "tags": either(st.lists(st.text(max_size=10), max_size=2)),
    "namespaces": either(st.lists(st.sampled_from(["a", "b.c", "photo"]), max_size=2)),
    "strategy": either(st.sampled_from([str(each) for each in Strategy])),
    "consistency": either(st.sampled_from([str(each) for each in Consistency])),
    "cascade": either(st.booleans()),
    "reason": either(st.text(max_size=210)),
    "by": either(st.text(max_size=20)),
    "id": either(st.uuids().map(str)),
    "at": either(st.floats(0, 2e9)),
}
keys = fields.pop("keys")
requests = st.fixed_dictionaries({"keys": keys}, optional=fields)
times = st.floats(0, 2e9)
plans = st.fixed_dictionaries(
    {},
    optional={
        "device": either(st.just("anna")),
        "paths": either(st.lists(lost_texts(), max_size=3)),
        "at": either(times),
        "until": either(times),
    },
)
numbers = {"incarnation": either(st.integers(0, 9)), "epoch": either(st.integers(0, 9))}
fetches = st.fixed_dictionaries(
    {},
    optional={
        "device": either(st.just("anna")),
        "path": either(lost_texts()),
        "token": either(st.just("t")),
        "origin": either(st.just("origin")),
        **numbers,
        "probability": either(st.floats(0, 1)),
        "until": either(times),
    },
)
changed = st.fixed_dictionaries(
    {},
    optional={
        "paths": either(st.lists(lost_texts(), max_size=3)),
        "reason": either(st.text(max_size=210)),
        "by": either(st.text(max_size=20)),
        "id": either(st.uuids().map(str)),
    },
)
purges = st.fixed_dictionaries(
    {}, optional={"requests": either(st.lists(st.text(min_size=1, max_size=20), min_size=1))}
)
unknown = st.dictionaries(st.text(max_size=5), wild, max_size=2)
WITH_FIELDS = {Task.INVALIDATE, Task.PURGE, Task.PLAN, Task.PREFETCH, Task.REPORT_CHANGES}
others = st.sampled_from([task for task in ROUTES if task not in WITH_FIELDS])


class Desk:
    """Sends a message and tells what became of it."""

    def __init__(self, app: Celery, wiring: Wiring) -> None:
        self._app, self._wiring = app, wiring

    def outcome(self, task: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """Its dead letter, else its result; a task that fails has no business to."""
        before = self._buried()
        sent = self._app.send_task(task, args, kwargs, queue=ROUTES[task], task_id=uuid.uuid4().hex)

        def ended() -> bool:
            return sent.ready() or self._buried() > before

        wait_until(ended, WAIT_S)
        if self._buried() > before:  # what is rejected counts as failed, for Celery
            (letter,) = self._wiring.dead_letters.recent(1)
            assert json.loads(letter.to_json())["reason"] == letter.reason
            return letter
        assert sent.successful(), (task, args, kwargs, sent.result)
        return sent.result

    def _buried(self) -> int:
        """How many letters there ever were."""
        figures = self._wiring.dead_letters.figures()
        return figures["kept"] + figures["dropped"]


@pytest.fixture
def desk(celery_session_app: Celery, wiring: Wiring) -> Desk:
    return Desk(celery_session_app, wiring)


def refused(letter: Any) -> bool:
    """Whether it is a letter that names a field and what is allowed."""
    return isinstance(letter, Letter) and "; allowed: " in letter.reason


@pytest.mark.timeout(600)
@given(asked=requests, more=st.one_of(st.just({}), st.just({}), unknown), args=st.lists(wild))
@settings(FEWER)
def test_a_request_is_done_or_waits_or_is_a_letter_that_says_why(
    desk: Desk, wiring: Wiring, asked: dict[str, Any], more: dict[str, Any], args: list[Any]
) -> None:
    sent = {**more, **asked}
    result = desk.outcome(Task.INVALIDATE, args, sent)
    try:
        names = {each.name for each in dataclasses.fields(Request)}
        if args or not sent.keys() <= names:
            raise InvalidInput("arguments", args, "none")
        wanted = make_request(**{"id": "x", "at": 1, **json.loads(json.dumps(sent))})
    except InvalidInput:
        assert refused(result), (result, sent)
        return
    if isinstance(result, Letter):  # the only other reason there is: its id, or what no JSON holds
        assert refused(result)
        return
    assert "waiting" in result or result["requests"] == 1
    if "id" in sent:
        receipt = wiring.cache.stores.receipts.load(wanted.id)
        assert receipt is not None
        assert receipt.error == ""


@pytest.mark.timeout(600)
@given(fields=plans, more=st.one_of(st.just({}), unknown), args=st.lists(wild, max_size=1))
@settings(FEWER)
def test_a_plan_plans_or_is_a_letter_that_says_why(
    desk: Desk, fields: dict[str, Any], more: dict[str, Any], args: list[Any]
) -> None:
    result = desk.outcome(Task.PLAN, args, {**more, **fields})
    assert refused(result) or result == {"planned": []}


@pytest.mark.timeout(600)
@given(fields=fetches, more=st.one_of(st.just({}), unknown), args=st.lists(wild, max_size=1))
@settings(FEWER)
def test_a_fetch_says_why_not_or_is_a_letter_that_does(
    desk: Desk, fields: dict[str, Any], more: dict[str, Any], args: list[Any]
) -> None:
    result = desk.outcome(Task.PREFETCH, args, {**more, **fields})
    assert refused(result) or (result["bytes"] == 0 and result["why"])


@pytest.mark.timeout(600)
@given(fields=changed, more=st.one_of(st.just({}), unknown), args=st.lists(wild, max_size=1))
@settings(FEWER)
def test_a_report_of_changes_is_done_or_is_a_letter_that_says_why(
    desk: Desk, fields: dict[str, Any], more: dict[str, Any], args: list[Any]
) -> None:
    result = desk.outcome(Task.REPORT_CHANGES, args, {**more, **fields})
    assert refused(result) or not isinstance(result, Letter)


@pytest.mark.timeout(600)
@given(fields=purges, more=st.one_of(st.just({}), unknown), args=st.lists(wild, max_size=1))
@settings(FEWER)
def test_a_purge_purges_or_is_a_letter_that_says_why(
    desk: Desk, fields: dict[str, Any], more: dict[str, Any], args: list[Any]
) -> None:
    result = desk.outcome(Task.PURGE, args, {**more, **fields})
    assert refused(result) or result == {"affected": 0}


@pytest.mark.timeout(600)
@given(task=others, fields=unknown, args=st.lists(wild, max_size=2))
@settings(FEWER)
def test_a_task_of_the_schedule_takes_nothing(
    desk: Desk, task: str, fields: dict[str, Any], args: list[Any]
) -> None:
    result = desk.outcome(task, args, fields)
    if fields or args:
        assert refused(result)
    else:
        assert isinstance(result, dict)


def test_the_worker_is_alive_after_all_that(run: Run) -> None:
    run(Task.HEARTBEAT)
