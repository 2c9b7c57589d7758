"""Whatever lies in a queue is refused with a reason, or is a message that kombu and Celery take."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery
from celery.worker.request import Request
from hypothesis import given
from hypothesis import strategies as st
from kombu import Connection
from kombu.transport import virtual
from kombu.utils.json import dumps, loads

import tasks
from cachekeeper.errors import InvalidInput
from tests.tasks.malformed import MALFORMED, good, text
from workers.envelope import DEPTH, check_record, open_envelope
from workers.protocol import check_task
from workers.quarantine import KEPT_BYTES, excerpt

LONGEST_S = 900.0

tasks.register()
app = Celery("tests", set_as_current=False)


leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.sampled_from(["base64", "utf-8", "application/json", "9999-12-31T23:59:59Z", "\ud800"]),
)
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@pytest.fixture(scope="module")
def channel() -> Iterator[virtual.Channel]:
    with Connection("memory://") as connection, connection.channel() as channel:
        yield channel


def checked(raw: bytes, channel: virtual.Channel) -> Any:
    """The message, after both checks and what kombu does between them."""
    payload = open_envelope(raw)
    message = virtual.Message(payload, channel=channel)
    assert not message.errors
    info = message.delivery_info
    record = dumps([payload, info["exchange"], info["routing_key"]])  # as kombu keeps it
    assert dumps(check_record(record.encode())[0]) == dumps(payload)
    message.accept = {"application/json"}
    check_task(message, app.tasks, LONGEST_S, time.time())
    return message


def taken(raw: bytes, channel: virtual.Channel) -> bool:
    """Whether it passes; then kombu and Celery have to manage with it."""
    try:
        message = checked(raw, channel)
    except InvalidInput as error:
        message, reason = None, str(error)
    else:
        reason = ""
    if message is None:
        assert "; allowed: " in reason
        assert len(reason) < 1000
        return False
    task = app.tasks[message.headers["task"]]
    request = Request(message, app=app, task=task, headers=message.headers)
    assert request.eta is None or request.eta.timestamp() < time.time() + 2 * LONGEST_S
    request.maybe_expire()
    hard, soft = request.time_limits
    assert all(limit is None or limit > 0 for limit in (hard, soft))
    context = request._context
    assert context.get("id") == request.id
    json.dumps(request.info(safe=True), default=str)
    return True


def test_a_good_message_passes(channel: virtual.Channel) -> None:
    assert taken(json.dumps(good()).encode(), channel)


@given(raw=st.binary() | st.text().map(lambda t: t.encode(errors="surrogatepass")))
def test_any_bytes(channel: virtual.Channel, raw: bytes) -> None:
    assert not taken(raw, channel)


@given(value=values)
def test_any_json(channel: virtual.Channel, value: Any) -> None:
    assert not taken(json.dumps(value).encode(), channel)


@given(data=st.data())
def test_any_part_of_a_message_is_anything(channel: virtual.Channel, data: st.DataObject) -> None:
    message = copy.deepcopy(BASE)
    paths = [*_paths(message), ("headers", data.draw(st.text()))]
    for path in data.draw(st.lists(st.sampled_from(paths), min_size=1, max_size=3)):
        part: Any = message
        for name in path[:-1]:
            part = part.get(name) if isinstance(part, dict) else None
        if isinstance(part, dict):
            part[path[-1]] = data.draw(values)
    taken(json.dumps(message).encode(), channel)


@given(body=values | st.lists(values, min_size=3, max_size=3))
def test_any_body(channel: virtual.Channel, body: Any) -> None:
    message = good(body=text(json.dumps(body)))
    taken(json.dumps(message).encode(), channel)


@given(name=st.sampled_from(sorted(MALFORMED)), data=st.data())
def test_bytes_changed_in_what_is_malformed(
    channel: virtual.Channel, name: str, data: st.DataObject
) -> None:
    raw = bytearray(MALFORMED[name][0][:5000])
    if raw:
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    taken(bytes(raw), channel)


@given(raw=st.binary(max_size=200), times=st.sampled_from([1, KEPT_BYTES // 50]))
def test_an_excerpt_is_bounded_and_can_be_kept(raw: bytes, times: int) -> None:
    kept = excerpt(raw * times)
    assert kept["bytes"] == len(raw) * times
    assert len(json.dumps(kept)) < 4 * KEPT_BYTES
    assert loads(json.dumps(kept)) == kept


def _paths(message: dict[str, Any]) -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    for name, value in message.items():
        found.append((name,))
        if isinstance(value, dict):
            found += [(name, *path) for path in _paths(value)]
    return found


BASE = good(
    headers__eta=None,
    headers__expires=None,
    headers__retries=0,
    headers__timelimit=[None, None],
    headers__stamps={},
    headers__stamped_headers=None,
    headers__group=None,
    headers__argsrepr="()",
    properties__priority=0,
    properties__correlation_id="1",
    properties__reply_to="",
)


@pytest.mark.parametrize(("levels", "passes"), [(DEPTH - 2, True), (DEPTH - 1, False)])
def test_the_deepest_message_can_go_back_too(levels: int, passes: bool) -> None:
    trace = json.loads("[" * levels + "]" * levels)
    raw = json.dumps(good(headers__trace=trace)).encode()
    if passes:
        check_record(dumps([open_envelope(raw), "", "queue"]).encode())
    else:
        with pytest.raises(InvalidInput, match=f"at most {DEPTH} levels"):
            open_envelope(raw)
