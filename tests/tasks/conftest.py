"""The application's tasks in a worker of this process: quick, and all but the processes is real.

``celery_session_worker`` (celery.contrib.pytest) serves every queue from a thread. Each test
has a deployment of its own, and the worker's services are made for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest
import redis
from celery import Celery
from celery.contrib.testing.worker import TestWorkController

from cachekeeper.client.cache import Cache
from cachekeeper.core.dead import Letter
from cachekeeper.names import QUEUES, ROUTES
from cachekeeper.settings import PREFIX, load
from tests.support import unused_port, wait_until
from workers import quarantine
from workers.context import WiringPerProcess
from workers.wiring import Wiring

#: The worker's messages; the cache is in database 0 of the same server.
BROKER_DATABASE = 1
RESULT_S = 15


class Send(Protocol):
    """Enqueues a task by its name as a foreign producer would: unchecked. Returns its id."""

    def __call__(self, task: str, *args: object, **fields: object) -> str: ...


class Run(Protocol):
    """Has a task done and returns its result, which came back as JSON."""

    def __call__(self, task: str, **fields: object) -> Any: ...


@pytest.fixture(scope="session")
def broker_url(server_url: str) -> str:
    """Where the worker of this process takes its messages from."""
    return server_url.removesuffix("/0") + f"/{BROKER_DATABASE}"


@pytest.fixture(scope="session")
def celery_session_app(broker_url: str, server_url: str) -> Iterator[Celery]:
    """Our application as the workers run it, with results, which only tests look at."""
    with pytest.MonkeyPatch.context() as patch:
        # celeryconfig looks for its servers when it is imported.
        patch.setenv(f"{PREFIX}BROKER_URL", broker_url)
        patch.setenv(f"{PREFIX}CACHE_URL", server_url)
        from workers.app import app
    # Results, as JSON, stay in this process.
    app.conf.update(
        broker_url=broker_url, result_backend="cache+memory://", task_ignore_result=False
    )
    yield app
    app.close()


@pytest.fixture(scope="session")
def celery_worker_parameters() -> dict[str, Any]:
    """Every queue; the ping task of celery.contrib.testing is not ours.

    Its worker sets the level of this process's log, in which other tests look for warnings.
    """
    given = {"queues": list(QUEUES), "perform_ping_check": False, "shutdown_timeout": 30}
    return {**given, "loglevel": "WARNING"}


@pytest.fixture
def given() -> dict[str, object]:
    """Settings that a test changes."""
    return {}


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    """The folder that the ``file`` namespace reads."""
    folder = tmp_path / "origin"
    folder.mkdir()
    return folder


@pytest.fixture
def wiring(
    celery_session_app: Celery,
    celery_session_worker: TestWorkController,  # noqa: ARG001  # has to run
    broker_url: str,
    server_url: str,
    deployment: str,
    origin: Path,
    tmp_path: Path,
    given: dict[str, object],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Wiring]:
    """The worker's services, made from the environment as a worker makes them."""
    settings = {
        "broker_url": broker_url,
        "cache_url": server_url,
        "deployment": deployment,
        "origin": origin,
        "state": tmp_path / "state",
        "lease_s": 1,  # a client takes up to a quarter of it to leave
        **given,
    }
    for name, value in settings.items():
        monkeypatch.setenv(f"{PREFIX}{name.upper()}", str(value))
    monkeypatch.setattr(celery_session_app, "wiring", wiring := WiringPerProcess())
    made = wiring()
    yield made
    with redis.Redis.from_url(broker_url) as broker:
        wait_until(lambda: not broker.exists(*QUEUES, "unacked"))  # none is left for the next test
    made.cache.close()


@pytest.fixture
def cache(wiring: Wiring) -> Iterator[Cache]:  # noqa: ARG001  # has set the environment
    """A client with all three tiers."""
    with Cache(load()) as client:
        yield client


@pytest.fixture
def send(wiring: Wiring, celery_session_app: Celery) -> Send:  # noqa: ARG001  # works for it
    """See ``Send``."""

    def send(task: str, *args: object, **fields: object) -> str:
        sent = celery_session_app.send_task(task, args, fields, queue=ROUTES[task])
        return str(sent.id)

    return send


@pytest.fixture
def run(send: Send, celery_session_app: Celery) -> Run:
    """See ``Run``."""

    def run(task: str, **fields: object) -> Any:
        return celery_session_app.AsyncResult(send(task, **fields)).get(RESULT_S, interval=0.005)

    return run


@pytest.fixture
def letter(wiring: Wiring) -> Callable[[], Letter]:
    """The only dead letter there is, once it is there."""

    def letter() -> Letter:
        (found,) = wait_until(lambda: wiring.dead_letters.recent(10))
        return found

    return letter


@pytest.fixture
def without_cache_server(
    wiring: Wiring, celery_session_app: Celery, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[], None]]:
    """The worker's services look for it where nothing listens, until this is called."""
    monkeypatch.setattr(quarantine, "PAUSE_S", 0.1)
    nowhere = f"redis://127.0.0.1:{unused_port()}/0"
    closed = Wiring(wiring.settings.model_copy(update={"cache_url": nowhere}))
    monkeypatch.setattr(celery_session_app, "wiring", lambda: closed)
    yield lambda: monkeypatch.setattr(celery_session_app, "wiring", lambda: wiring)
    closed.cache.close()
