"""Names, routes, queues, schedule and wire format hang together."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from celery import Celery
from celery.exceptions import QueueNotFound
from kombu.serialization import dumps, loads, prepare_accept_content

from cachekeeper.client.broker import Broker
from cachekeeper.core.request import make_request, request_from_wire
from cachekeeper.core.strategy import STRATEGIES, Consistency, Strategy
from cachekeeper.names import QUEUES, ROUTES, Queue, Task
from cachekeeper.queues import EXCHANGE, declared_queues
from cachekeeper.settings import Settings
from workers.schedule import schedule

OURS = {value for name, value in vars(Task).items() if name.isupper()}
#: What SPEC 8 has on the schedule, and what is asked for.
ASKED_FOR = {Task.INVALIDATE, Task.REPORT_CHANGES, Task.PLAN, Task.PREFETCH, Task.PURGE, Task.WARM}
SCHEDULED = OURS - ASKED_FOR


@pytest.fixture
def app(celery_session_app: Celery) -> Celery:
    """The application as workers run it."""
    return celery_session_app


def test_every_named_task_is_registered_and_no_other(app: Celery) -> None:
    app.finalize()
    assert {
        name for name, task in app.tasks.items() if task.__module__.startswith("tasks.")
    } == OURS


def test_every_task_has_a_route_to_a_queue_that_is_declared(app: Celery) -> None:
    declared = set(app.amqp.queues)
    assert declared == set(QUEUES)
    for task in OURS:
        queue = app.amqp.router.route({}, task)["queue"]
        assert queue.name == ROUTES[task]
        assert queue.name in declared


def test_every_strategy_has_a_queue_of_its_own() -> None:
    queues = [STRATEGIES[strategy].queue for strategy in Strategy]
    assert len(set(queues)) == len(Strategy)
    assert set(queues) < set(QUEUES)


def test_every_queue_is_durable_and_on_the_one_exchange() -> None:
    assert [queue.name for queue in declared_queues()] == list(QUEUES)
    for queue in declared_queues():
        assert queue.durable
        assert not queue.auto_delete
        assert queue.routing_key == queue.name
        assert queue.exchange == EXCHANGE
    assert (EXCHANGE.type, EXCHANGE.durable) == ("direct", True)


def test_the_schedule_rings_what_it_should_and_each_tick_expires(app: Celery) -> None:
    entries = schedule(Settings()).values()
    assert {entry["task"] for entry in entries} == SCHEDULED
    assert {entry["task"] for entry in app.conf.beat_schedule.values()} == SCHEDULED
    for entry in entries:
        assert 0 < entry["options"]["expires"] <= entry["schedule"]


def test_the_schedule_follows_the_specification() -> None:
    periods = {entry["task"]: entry["schedule"] for entry in schedule(Settings()).values()}
    assert periods[Task.FLUSH_SCHEDULED] == 300
    assert periods[Task.FLUSH_BACKGROUND] == 60
    assert periods[Task.REFRESH_GRAPH] == 300


def test_a_misspelt_queue_is_refused_at_the_producer(app: Celery, broker_url: str) -> None:
    with pytest.raises(QueueNotFound, match="imediate"):
        app.send_task(Task.INVALIDATE, queue="invalidation.imediate")
    producer = Broker(broker_url)
    with pytest.raises(QueueNotFound, match="imediate"):
        producer.send(Task.INVALIDATE, {}, queue="invalidation.imediate")
    producer.close()


def test_json_is_all_that_is_spoken(app: Celery) -> None:
    assert app.conf.task_serializer == "json"
    assert app.conf.accept_content == ["json"]
    assert app.conf.result_accept_content in (None, ["json"])


def through_the_wire(value: Any) -> Any:
    """What a worker makes of a producer's arguments."""
    content_type, encoding, data = dumps(value, serializer="json")
    return loads(data, content_type, encoding, accept=prepare_accept_content({"json"}))


@pytest.mark.parametrize(
    ("strategy", "consistency", "cascade"),
    list(itertools.product(Strategy, Consistency, [True, False])),
)
def test_a_request_survives_the_wire(
    strategy: Strategy, consistency: Consistency, cascade: bool
) -> None:
    request = make_request(
        id="an id",
        at=1_700_000_000.25,
        keys=["photo:été/☃.jpg", "thumb:a b"],
        tags=["album 1"],
        namespaces=["page"],
        strategy=strategy,
        consistency=consistency,
        cascade=cascade,
        reason="an edit",
    )
    wire = through_the_wire(request.to_wire())
    assert wire == json.loads(json.dumps(wire)), "plain JSON, for producers in any language"
    assert request_from_wire(wire) == request


def test_a_prefetch_survives_the_wire(app: Celery) -> None:
    read = {"device": "phone", "paths": ["été/☃.jpg"], "at": 1_700_000_000.25}
    fetch = {"device": "phone", "path": "été/☃.jpg", "token": "t", "epoch": 3, "probability": 0.8}
    for task, arguments in ((Task.PLAN, read), (Task.PREFETCH, fetch)):
        assert through_the_wire(arguments) == arguments
        takes_arguments(app, task, arguments)


@pytest.mark.parametrize("task", sorted(SCHEDULED))
def test_a_tick_needs_no_arguments(app: Celery, task: str) -> None:
    takes_arguments(app, task, {})


def takes_arguments(app: Celery, task: str, arguments: dict[str, Any]) -> None:
    """Fail with a TypeError, as ``apply_async`` does, if a task's signature refuses them."""
    app.tasks[task].__header__(**arguments)


def test_the_strategies_queues_are_served_before_all_others() -> None:
    assert QUEUES[: len(Strategy)] == tuple(STRATEGIES[strategy].queue for strategy in Strategy)
    assert QUEUES[0] == Queue.IMMEDIATE
