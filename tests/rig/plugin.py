"""pytest-celery on the process engine, with our application as its worker.

Ask for ``celery_setup`` and ``cache``. A test that needs another set-up overrides
``worker_application`` (what ``celery -A`` is given) or ``worker_settings``.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, TypeAlias

import docker
import pytest
from pytest_celery import CELERY_REDIS_BROKER, CeleryWorkerContainer, RedisContainer
from pytest_docker_tools.exceptions import TimeoutError as NotInTime

from cachekeeper.client.cache import Cache
from cachekeeper.names import QUEUES
from cachekeeper.settings import PREFIX, Settings
from tests.rig import container_utils
from tests.rig.engine import ProcessEngine
from tests.support import fresh_deployment

Given: TypeAlias = dict[str, Any]

#: Modules that imported pytest-docker-tools' way of waiting, which looks once a second.
WAITING = (
    "pytest_celery.api.base",
    "pytest_celery.api.container",
    "pytest_docker_tools.factories.container",
    "pytest_docker_tools.wrappers.container",
)
#: Environment variable: ``docker`` for real containers.
RIG = "CELERY_RIG"
CLIENT_LEASE_S = 1.0  # leaving takes up to a quarter of it


@pytest.fixture(scope="session")
def docker_client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The one seam: what pytest-celery believes to be a container engine; or is one, if asked."""
    if os.environ.get(RIG) == "docker":
        yield docker.from_env()
        return
    engine = ProcessEngine(tmp_path_factory.mktemp("engine"))
    with pytest.MonkeyPatch.context() as patch:
        # A process is ready sooner than a container, and is at 127.0.0.1 wherever tests run.
        inside = "pytest_docker_tools.wrappers.container.tests_inside_container"
        patch.setattr(inside, lambda: False)
        for module in WAITING:
            patch.setattr(sys.modules[module], "wait_for_callable", wait_for_callable)
        yield engine
    engine.close()


def wait_for_callable(message: str, func: Callable[[], object], timeout: float = 30) -> None:
    """Wait as pytest-docker-tools does, and look more often."""
    end = time.monotonic() + timeout
    while not func():
        if time.monotonic() > end:
            raise NotInTime(f"{message}: not within {timeout:g} s")
        time.sleep(0.02)


@pytest.fixture(params=[CELERY_REDIS_BROKER])
def celery_broker(request: pytest.FixtureRequest) -> Any:
    """Redis only, and not every broker that pytest-celery knows; its own fixture ends it."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def default_redis_broker_command(default_redis_broker_cls: type[RedisContainer]) -> list[str]:
    """The server keeps what it holds over a restart, as ours does."""
    command: list[str] = default_redis_broker_cls.command("--appendonly", "yes")
    return command


@pytest.fixture
def celery_backend_cluster() -> None:
    """No result backend: receipts are our results."""


@pytest.fixture
def worker_application() -> str:
    """The application that the worker runs."""
    return "workers.app"


@pytest.fixture
def worker_settings() -> Given:
    """Settings of the worker that differ from the client's."""
    return {}


@pytest.fixture
def rig_settings(
    celery_broker_cluster_config: dict[str, list[str]], tmp_path: Path
) -> Iterator[Settings]:
    """What worker and client agree on: a deployment on the rig's server, which leaks no key."""
    (url,) = celery_broker_cluster_config["urls"]
    with fresh_deployment(url) as deployment:
        yield Settings(
            broker_url=url, cache_url=url, deployment=deployment, state=tmp_path / "state"
        )


@pytest.fixture
def default_worker_command(worker_application: str) -> list[str]:
    """One child that serves every queue."""
    name, queues = f"{CeleryWorkerContainer.worker_name()}@%h", ",".join(QUEUES)
    alone = ["--without-mingle", "--without-gossip"]
    return [
        *("celery", "-A", worker_application, "worker", "-l", "INFO"),
        *("-n", name, "-Q", queues, "-c", "1", *alone),
    ]


@pytest.fixture
def default_worker_env(rig_settings: Settings, worker_settings: Given) -> dict[str, str]:
    """The worker's settings as environment variables."""
    shared = ("broker_url", "cache_url", "deployment", "state")
    given = {name: getattr(rig_settings, name) for name in shared} | worker_settings
    return {f"{PREFIX}{name.upper()}": str(value) for name, value in given.items()}


@pytest.fixture
def default_worker_utils_module() -> ModuleType:
    """Process listings show the worker's processes and not the machine's."""
    return container_utils


@pytest.fixture
def cache(rig_settings: Settings) -> Iterator[Cache]:
    """A client of the rig's deployment in this process, with all three tiers."""
    with Cache(rig_settings.model_copy(update={"lease_s": CLIENT_LEASE_S})) as client:
        yield client
