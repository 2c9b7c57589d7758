"""``cachekeeper devices``: tokens, what devices hold, and their pins, with the real command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cachekeeper.client.cache import Cache
from cachekeeper.client.devices import open_devices
from cachekeeper.settings import PREFIX, Settings

COMMAND = [sys.executable, "-W", "error", "-c", "from cachekeeper.cli.main import main; main()"]

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def given(server_url: str, deployment: str, tmp_path: Path) -> dict[str, object]:
    library = tmp_path / "library"
    library.mkdir()
    for name in ("a", "b", "c"):
        (library / name).write_bytes(name.encode() * 1000)
    return {
        "cache_url": server_url,
        "broker_url": server_url,
        "deployment": deployment,
        "state": str(tmp_path / "state"),
        "origin": str(library),
        "device_quota": 2500,
        "disk_min_free": 0,
    }


@pytest.fixture
def cache(given: dict[str, object]) -> Iterator[Cache]:
    values = given | {"memory_bytes": 0}
    with Cache(Settings(**values)) as opened:  # type: ignore[arg-type]  # as of the environment
        yield opened


@pytest.fixture
def run(given: dict[str, object], cache: Cache) -> Run:  # noqa: ARG001  # the deployment is there
    env = os.environ | {f"{PREFIX}{name.upper()}": str(value) for name, value in given.items()}

    def devices(*arguments: str, typed: str = "") -> subprocess.CompletedProcess[str]:
        command = [*COMMAND, "devices", *arguments]
        return subprocess.run(
            command, env=env, input=typed, capture_output=True, text=True, timeout=30, check=False
        )

    return devices


def test_a_token_is_shown_once(run: Run, cache: Cache) -> None:
    enrolment = open_devices(cache).enrolment
    added = run("add", "anna")
    assert added.returncode == 0
    assert enrolment.is_known("anna", added.stdout.strip())
    again = run("add", "anna")
    assert (again.returncode, again.stdout) == (1, "")
    assert "one without a token, or --renew" in again.stderr
    renewed = run("add", "anna", "--renew").stdout.strip()
    assert enrolment.is_known("anna", renewed)
    assert not enrolment.is_known("anna", added.stdout.strip())
    assert run("revoke", "anna").stdout == "anna: revoked\n"
    assert not enrolment.is_known("anna", renewed)
    assert run("revoke", "anna").returncode == 1
    assert "text that matches" in run("add", "Anna's").stderr


def test_what_devices_hold(run: Run, cache: Cache) -> None:
    cache.device("anna").pin("a")
    cache.device("anna").get("b")
    run("add", "ben")
    anna, ben = json.loads(run("list", "--json").stdout)
    assert (anna["device"], anna["files"], anna["bytes"], anna["pinned"]) == ("anna", 2, 2000, 1000)
    assert (anna["quota"], anna["token_since"]) == (2500, None)
    assert (ben["device"], ben["files"], ben["token_since"] > 0) == ("ben", 0, True)
    assert len(run("list").stdout.splitlines()) == 3


def test_pins(run: Run, cache: Cache) -> None:
    pinned = run("pin", "anna", "a", "b", "c", "nothing")
    assert pinned.returncode == 1
    assert pinned.stdout == "pinned 1,000 bytes on anna  a\npinned 1,000 bytes on anna  b\n"
    assert "refused c: 1000 bytes on anna: it does not fit beside what is pinned" in pinned.stderr
    assert "refused" in pinned.stderr.splitlines()[1]
    assert json.loads(run("pins", "anna", "--json").stdout) == {"a": 1000, "b": 1000}
    assert run("unpin", "anna", "a", "x").stdout == "unpinned a\nwas not pinned x\n"
    assert cache.device("anna").pins() == {"b": 1000}


def test_pins_go_to_another_deployment_and_back(run: Run, cache: Cache, tmp_path: Path) -> None:
    cache.device("anna").pin("a")
    cache.device("ben").pin("b")
    cache.device("carla").get("c")
    kept = tmp_path / "pins.json"
    assert run("export", "--output", str(kept)).returncode == 0
    assert json.loads(kept.read_text()) == {
        "version": 1,
        "devices": {"anna": {"pins": ["a"]}, "ben": {"pins": ["b"]}},
    }
    assert json.loads(run("export", "ben").stdout)["devices"].keys() == {"ben"}
    for device in ("anna", "ben"):
        cache.device(device).unpin({"anna": "a", "ben": "b"}[device])
        cache.device_caches.evict(device, 10_000)
    assert run("import", str(kept)).returncode == 0
    assert cache.device("anna").pins() == {"a": 1000}
    assert cache.device("ben").pins() == {"b": 1000}
    assert run("import", str(kept)).returncode == 0  # twice is once


def test_an_import_of_more_than_there_is_room_for_pins_what_fits(run: Run, cache: Cache) -> None:
    typed = json.dumps({"version": 1, "devices": {"anna": {"pins": ["a", "gone", "b", "c"]}}})
    done = run("import", "-", typed=typed)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 2
    assert cache.device("anna").pins() == {"a": 1000, "b": 1000}


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("", "pins: '' is not allowed; allowed: JSON"),
        ("[" * 100_000, "pins: "),
        ("[]", 'allowed: {"version": 1'),
        ('{"version": 2, "devices": {}}', "version: 2 is not allowed"),
        ('{"version": 1, "devices": []}', "devices: [] is not allowed"),
        ('{"version": 1, "devices": {"Anna": {"pins": []}}}', "device: 'Anna' is not allowed"),
        ('{"version": 1, "devices": {"anna": ["a"]}}', "devices.anna.pins: "),
        (
            '{"version": 1, "devices": {"anna": {"pins": ["a", "../b"]}}}',
            "devices.anna.pins[1]: '../b' is not allowed",
        ),
    ],
)
def test_an_import_that_is_malformed_does_nothing(
    run: Run, cache: Cache, typed: str, said: str
) -> None:
    done = run("import", "-", typed=typed)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {said}" if said.endswith(" ") else "error: ")
    assert said in done.stderr
    assert cache.device("anna").pins() == {}
