"""``cachekeeper simulate``: the real command, on a file and on what a device has read."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

from cachekeeper import Cache
from cachekeeper.core.policy import POLICIES
from cachekeeper.settings import PREFIX, Settings

COMMAND = [sys.executable, "-W", "error", "-c", "from cachekeeper.cli.main import main; main()"]

Run = Callable[..., subprocess.CompletedProcess[str]]


def run(*arguments: str | Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, "simulate", *map(str, arguments)],
        env=os.environ | env,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """A few that are asked for often, many that are not."""
    chance = random.Random(1)
    rows = [
        f"{i},{f'hot{chance.randrange(5)}' if chance.random() < 0.6 else f'cold{i}'},100,0\n"
        for i in range(2000)
    ]
    path = tmp_path / "accesses.csv"
    path.write_text("ts,key,size,client\n" + "".join(rows))
    return path


def test_a_table_by_quota_and_policy(trace: Path) -> None:
    done = run(trace, "--quota", "1%", "--quota", "500", "--policy", "gdga", "--policy", "lru")
    assert (done.returncode, done.stderr) == (0, "")
    head, _, columns, *rows = done.stdout.splitlines()
    assert head.startswith("accesses   2,000 requests of ")
    assert columns.split() == ["QUOTA", "POLICY", "REQUESTS", "BYTES", "COST"]
    assert [row.split()[0] for row in rows] == ["500", "500", "1%", "1%"]  # smallest first
    stars = [row for row in rows if row.endswith(" *")]
    assert ["gdga" in row for row in stars] == [True, True]


def test_json_and_a_picture(trace: Path, tmp_path: Path) -> None:
    picture = tmp_path / "found.svg"
    done = run(trace, trace, "--json", "--plot", picture)
    assert (done.returncode, done.stderr) == (0, "")
    first, second = json.loads(done.stdout)["traces"]
    assert first == second
    assert first["requests"] == 2000
    assert len(first["found"]) == 5 * len(POLICIES)
    for each in first["found"]:
        assert 0 < each["omr"] <= 1
        assert each["capacity"] >= 1
    root = ElementTree.parse(picture).getroot()
    assert root.tag == "{http://www.w3.org/2000/svg}svg"


@pytest.mark.parametrize(
    ("content", "arguments", "message"),
    [
        (None, (), "error: trace: '' is not allowed; allowed: a file, or --device"),
        ("ts,key,size\n1,a,big\n", (), "error: bad, line 2, size: 'big' is not allowed"),
        ("ts,key,size\n1,a,1\n", ("--quota", "lots"), "error: quota: 'lots' is not allowed"),
        (None, ("--device", "No Such"), "error: device"),
    ],
)
def test_bad_input_is_one_line(
    tmp_path: Path, content: str | None, arguments: tuple[str, ...], message: str
) -> None:
    files = []
    if content is not None:
        files.append(tmp_path / "bad.csv")
        files[0].write_text(content)
    done = run(*files, *arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(message)
    assert done.stderr.count("\n") == 1


def test_what_a_device_has_read(server_url: str, deployment: str, tmp_path: Path) -> None:
    origin = tmp_path / "origin"
    origin.mkdir()
    for name in "abc":
        (origin / name).write_bytes(b"x" * 1000)
    given = {
        "cache_url": server_url,
        "broker_url": server_url,
        "deployment": deployment,
        "state": str(tmp_path / "state"),
        "origin": str(origin),
    }
    env = {f"{PREFIX}{name.upper()}": value for name, value in given.items()}
    with Cache(Settings.model_validate({**given, "memory_bytes": 0})) as cache:
        phone = cache.device("phone")
        for name in "abacab":
            phone.get(name)
    done = run("--device", "phone", "--quota", "2000", "--policy", "lru", "--json", **env)
    assert done.returncode == 0, done.stderr
    (found,) = json.loads(done.stdout)["traces"]
    assert (found["name"], found["requests"], found["footprint"]) == ("device phone", 6, 3000)
    assert found["found"][0]["omr"] == pytest.approx(4 / 6)  # a b - c - b
    assert done.stderr.startswith("note: 6 accesses are on record of phone (it keeps 1,000 events)")
    done = run("--device", "tablet", **env)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: device: 'tablet' is not allowed")
