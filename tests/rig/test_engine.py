"""The engine itself: pytest-celery's own nodes and its own application run on it unmodified."""

from __future__ import annotations

from typing import Any

import pytest
from celery import Celery
from pytest_celery import (
    RESULT_TIMEOUT,
    CeleryBackendCluster,
    CeleryTestBackend,
    CeleryTestSetup,
    CeleryWorkerContainer,
    ping,
)


@pytest.fixture
def celery_backend_cluster(celery_backend: CeleryTestBackend) -> CeleryBackendCluster:
    """As pytest-celery has it; the rig does without."""
    return CeleryBackendCluster(celery_backend)


@pytest.fixture
def default_worker_command() -> list[str]:
    """As pytest-celery has it; the rig runs our application."""
    command: list[str] = CeleryWorkerContainer.command("-c", "1")
    return command


@pytest.fixture
def default_worker_env(celery_worker_cluster_config: dict[str, Any]) -> dict[str, str]:
    """As pytest-celery has it."""
    env: dict[str, str] = CeleryWorkerContainer.initial_env(celery_worker_cluster_config)
    return env


def test_pytest_celerys_own_nodes_are_processes_and_do_not_know_it(
    celery_setup: CeleryTestSetup,
) -> None:
    assert celery_setup.ready(ping=True, control=True)
    app: Celery = celery_setup.app
    assert ping.s().apply_async().get(timeout=RESULT_TIMEOUT) == "pong"
    assert celery_setup.worker.hostname() in app.control.ping()[0]
