"""What deploy/ describes is what `cachekeeper up` runs, and is closed where it should be."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from tornado.options import OptionParser

from cachekeeper.local.services import WORKER_GRACE_S, Service, application_services
from cachekeeper.local.state import State
from cachekeeper.names import QUEUES, Queue
from cachekeeper.settings import Settings

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"

#: A process of `up` -> its container.
CONTAINERS = {
    "immediate": "worker-immediate",
    "general": "worker-general",
    "plan": "worker-plan",
    "fetch": "worker-fetch",
    "beat": "beat",
    "flower": "flower",
    "devices": "devices",
    "watch": "watch",
}
#: What a niceness is worth beside others, as the kernel weighs it (sched_prio_to_weight).
SHARES = {0: 1024, 10: 110, 15: 36}
#: Options that say where, which is another place in a container.
PLACES = ("--address", "--host", "--port", "-s")


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    return dict(compose["services"])


@pytest.fixture
def processes(tmp_path: Path) -> dict[str, Service]:
    run = application_services(ROOT, State(tmp_path), Settings(origin=tmp_path), env={})
    return {process.name: process for process in run}


def without_places(arguments: list[str]) -> list[str]:
    kept, skip = [], False
    for argument in arguments:
        name, equals, _ = argument.partition("=")
        if skip or name in PLACES:
            skip = name in PLACES and not equals
        else:
            kept.append(argument)
    return kept


def directives(name: str) -> dict[str, str]:
    lines = (DEPLOY / name).read_text().splitlines()
    pairs = [line.split(None, 1) for line in lines if line and not line.startswith("#")]
    assert len({key for key, _ in pairs}) == len(pairs), "a directive is given twice"
    return {key: value.strip() for key, value in pairs}


def flower_options(monkeypatch: pytest.MonkeyPatch, **environ: str) -> OptionParser:
    """Flower's options after it has read our file, with this in its environment."""
    for name in ("FLOWER_BASIC_AUTH", "FLOWER_UNAUTHENTICATED_API"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    options = OptionParser()
    options.define("address", type=str, default="")
    options.define("basic_auth", type=str, multiple=True, default=["from", "the environment"])
    options.define("max_tasks", type=int, default=100_000)
    options.define("persistent", type=bool, default=True)
    options.parse_config_file(str(DEPLOY / "flowerconfig.py"))
    return options


@pytest.mark.parametrize("name", CONTAINERS)
def test_a_container_runs_the_command_line_of_up(
    services: dict[str, Any], processes: dict[str, Service], name: str
) -> None:
    process, container = processes[name], services[CONTAINERS[name]]
    command = shlex.split(container["command"])
    nice = 0
    if command[0] == "nice":
        nice, command = int(command[2]), command[3:]

    if command[0] == "celery":
        command = ["python", "-m", *command]
    assert without_places(command[1:]) == without_places(list(process.argv[1:]))
    assert nice == process.nice
    assert container.get("cpu_shares", 1024) == SHARES[nice]
    assert container["environment"].items() >= process.env.items()


def test_nothing_that_up_runs_is_missing(
    services: dict[str, Any], processes: dict[str, Service]
) -> None:
    assert processes.keys() == CONTAINERS.keys()
    assert services.keys() == {*CONTAINERS.values(), "broker", "cache"}


def test_every_queue_is_served_once_and_immediate_alone(services: dict[str, Any]) -> None:
    workers = [name for name in services if name.startswith("worker-")]
    commands = [shlex.split(services[name]["command"]) for name in workers]
    served = [command[command.index("-Q") + 1].split(",") for command in commands]

    assert [Queue.IMMEDIATE] in served
    assert [queue for queues in served for queue in queues] == list(QUEUES)


def test_a_worker_has_the_time_to_hand_back_its_task(services: dict[str, Any]) -> None:
    for name, service in services.items():
        if name.startswith("worker-"):
            assert int(service["stop_grace_period"].removesuffix("s")) >= WORKER_GRACE_S


def test_what_has_a_port_has_it_on_loopback_only(services: dict[str, Any]) -> None:
    ports = {name: service["ports"] for name, service in services.items() if "ports" in service}
    assert ports == {"flower": ["127.0.0.1:5555:5555"], "devices": ["127.0.0.1:8440:8440"]}


def test_containers_know_only_settings_that_exist(services: dict[str, Any]) -> None:
    names = {f"CACHEKEEPER_{name.upper()}" for name in Settings.model_fields}
    for container in CONTAINERS.values():
        given = {v for v in services[container]["environment"] if v.startswith("CACHEKEEPER_")}
        assert {"CACHEKEEPER_BROKER_URL", "CACHEKEEPER_CACHE_URL"} <= given <= names


def test_files_named_are_there(services: dict[str, Any]) -> None:
    for service in services.values():
        for volume in service["volumes"]:
            if volume.startswith("./"):
                assert (DEPLOY / volume.split(":")[0]).is_file()
    lines = (DEPLOY / "Dockerfile").read_text().splitlines()
    copied = [line.split()[1:-1] for line in lines if line.startswith("COPY ")]
    for name in (name for names in copied for name in names):
        assert (ROOT / name).exists()


def test_dependencies_are_installed_by_hash_and_not_by_root() -> None:
    lines = (DEPLOY / "Dockerfile").read_text().splitlines()
    locked = [line for line in lines if "requirements.lock" in line and line.startswith("RUN")]
    assert len(locked) == 1
    assert "--require-hashes" in locked[0]
    assert lines[-1] == "USER cachekeeper"


def test_the_broker_refuses_rather_than_forgets() -> None:
    broker = directives("redis-broker.conf")
    assert broker["maxmemory-policy"] == "noeviction"
    assert (broker["appendonly"], broker["appendfsync"]) == ("yes", "everysec")


def test_the_cache_evicts_nothing_that_has_no_ttl() -> None:
    cache = directives("redis-cache.conf")
    assert cache["maxmemory-policy"].startswith(("volatile-", "noeviction"))
    assert (cache["appendonly"], cache["appendfsync"]) == ("yes", "everysec")


def test_flower_is_closed_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    options = flower_options(monkeypatch, FLOWER_UNAUTHENTICATED_API="true")
    assert options.address == "127.0.0.1"
    assert options.basic_auth == []
    assert "FLOWER_UNAUTHENTICATED_API" not in os.environ
    assert (options.max_tasks, options.persistent) == (10_000, False)
    assert flower_options(monkeypatch, FLOWER_MAX_TASKS="300").max_tasks == 300


def test_flower_takes_credentials_but_no_empty_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    assert flower_options(monkeypatch, FLOWER_BASIC_AUTH="me:secret").basic_auth != []
    assert flower_options(monkeypatch, FLOWER_BASIC_AUTH="").basic_auth == []
