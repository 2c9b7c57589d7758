"""What Celery itself sends passes our own check of it, with all that it can put into a message."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery import Celery, Task, chain, chord
from celery.app.task import Context

import tasks
from cachekeeper.names import Queue
from cachekeeper.names import Task as Name
from workers.protocol import check_task

LONGEST_S = 900.0
KEYS = {"keys": ["photo:a"]}


@pytest.fixture
def app() -> Iterator[Celery]:
    """An application with our tasks, over a broker in memory."""
    tasks.register()
    app = Celery("tests", broker="memory://", backend="cache+memory://", set_as_current=False)
    app.conf.task_default_queue = Queue.IMMEDIATE
    yield app
    app.close()


def sent(app: Celery) -> Any:
    """The message that was just sent."""
    with app.connection_for_read() as connection, connection.channel() as channel:
        message = channel.basic_get(Queue.IMMEDIATE)
        assert message is not None
        message.accept = {"application/json"}
        message.ack()
        return message


def retried(task: Task) -> None:
    """Send it as ``task.retry`` does, in the midst of a request with a header of a tracer."""
    task.apply_async(kwargs=KEYS, expires=60, headers={"traceparent": "00-4b"})
    message = sent(task.app)
    values, fields, embedded = message.payload
    request = Context(message.headers, args=values, kwargs=fields, delivery_info={}, **embedded)
    task.signature_from_request(request, countdown=10, retries=3).apply_async()


WAYS: dict[str, Callable[[Task], Any]] = {
    "by name": lambda task: task.app.send_task(task.name, kwargs=KEYS),
    "later": lambda task: task.apply_async(kwargs=KEYS, countdown=600, expires=3600),
    "with limits": lambda task: task.apply_async(kwargs=KEYS, time_limit=60, soft_time_limit=30.5),
    "with a header": lambda task: task.apply_async(kwargs=KEYS, headers={"baggage": {"a": [1]}}),
    "with a link": lambda task: task.apply_async(kwargs=KEYS, link=task.si(**KEYS)),
    "with errbacks": lambda task: task.apply_async(kwargs=KEYS, link_error=[task.si(**KEYS)]),
    "in a chain": lambda task: chain(*[task.si(**KEYS)] * 5, app=task.app).apply_async(),
    "in a chord": lambda task: chord(
        [task.si(**KEYS)], task.si(**KEYS), app=task.app
    ).apply_async(),
    "stamped": lambda task: stamped(task).apply_async(),
    "shadowed": lambda task: task.apply_async(kwargs=KEYS, shadow="another.name"),
    "with a priority": lambda task: task.apply_async(kwargs=KEYS, priority=9),
    "retried": lambda task: retried(task),
}


def stamped(task: Task) -> Any:
    signature = task.si(**KEYS)
    signature.stamp(by=["somebody"])
    return signature


@pytest.mark.parametrize("send", WAYS.values(), ids=WAYS)
def test_what_celery_sends_passes(app: Celery, send: Callable[[Task], Any]) -> None:
    send(app.tasks[Name.INVALIDATE])
    message = sent(app)
    check_task(message, app.tasks, LONGEST_S, time.time())
    assert message.headers["task"] == Name.INVALIDATE
