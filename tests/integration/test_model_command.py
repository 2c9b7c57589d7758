"""``cachekeeper model`` and ``why-prefetched``, with the real command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cachekeeper.client.cache import Cache
from cachekeeper.core.device import PREFETCH
from cachekeeper.core.retention import Priority
from cachekeeper.settings import PREFIX, Settings

COMMAND = [sys.executable, "-W", "error", "-c", "from cachekeeper.cli.main import main; main()"]
READS = 12

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def given(server_url: str, deployment: str, tmp_path: Path) -> dict[str, object]:
    library = tmp_path / "library"
    library.mkdir()
    for name in ("index.html", "style.css", "写真.jpg"):
        (library / name).write_bytes(name.encode())
    return {
        "cache_url": server_url,
        "broker_url": server_url,
        "deployment": deployment,
        "state": tmp_path / "state",
        "origin": library,
        "memory_bytes": 0,
        "prefetch": False,
    }


@pytest.fixture
def cache(given: dict[str, object]) -> Iterator[Cache]:
    with Cache(Settings.model_validate(given)) as opened:
        yield opened


@pytest.fixture
def run(given: dict[str, object]) -> Run:
    env = os.environ | {f"{PREFIX}{name.upper()}": str(value) for name, value in given.items()}

    def run(*arguments: str, typed: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*COMMAND, *arguments],
            env=env,
            input=typed,
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )

    return run


@pytest.fixture
def learnt(cache: Cache) -> Cache:
    """Many devices read a style sheet after a page."""
    for number in range(READS):
        read(cache, f"tv{number}", "index.html", "style.css", "写真.jpg")
    return cache


def read(cache: Cache, device: str, *paths: str) -> None:
    for path in paths:
        cache.stores.predictor.observe(device, path, time.time(), threshold=1, limit=0)


def everything(cache: Cache) -> dict[str, float]:
    """What is predicted after a page, without learning from a device that counts."""
    reasons = cache.stores.predictor.explain("phone", "style.css")
    return {each.after: each.prediction.probability for each in reasons}


def test_show_tells_what_is_known(run: Run, learnt: Cache) -> None:
    told = json.loads(run("model", "show", "--json").stdout)
    assert (told["files"], told["devices"]) == (3, READS)
    assert told["most_files"] == learnt.settings.model_items
    assert told["bytes"] > 0
    assert {each["relation"] for each in told["classes"]} == {"same folder"}
    assert "html > css" in run("model", "show").stdout


def test_a_model_goes_to_another_deployment_and_back(
    run: Run, learnt: Cache, tmp_path: Path
) -> None:
    read(learnt, "phone", "index.html")
    before, file = everything(learnt), tmp_path / "model.jsonl"
    assert before["index.html"] > 0.5
    assert run("model", "export", str(file)).returncode == 0
    assert run("model", "reset", "--yes").stdout == "3 files are forgotten\n"
    assert everything(learnt) == {}
    assert json.loads(run("model", "show", "--json").stdout)["files"] == 0
    assert run("model", "import", str(file)).stdout == "3 files are known now\n"
    assert run("model", "export").stdout == file.read_text()
    read(learnt, "phone", "index.html")
    assert everything(learnt)["index.html"] == pytest.approx(before["index.html"], abs=0.1)


def test_an_empty_model_can_be_exported_and_imported(run: Run, cache: Cache) -> None:
    exported = run("model", "export").stdout
    assert json.loads(exported.splitlines()[0]) == {"cachekeeper_model": 1, "files": 0}
    assert run("model", "import", "-", typed=exported).returncode == 0
    assert cache.stores.model.kept().files == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no full device")
def test_an_export_that_finds_no_room_says_so(run: Run) -> None:
    done = run("model", "export", "/dev/full")
    assert done.returncode == 1
    assert done.stderr.startswith("error: output: '/dev/full'")
    assert len(done.stderr.splitlines()) == 1


def test_an_import_that_is_malformed_changes_nothing(run: Run, learnt: Cache) -> None:
    assert learnt.stores.model.kept().files == 3
    before = run("model", "export").stdout
    done = run("model", "import", "-", typed=before.replace('"reads": [', '"reads": [-1, '))
    assert done.returncode == 1
    assert done.stderr.startswith("error: line 2, reads: ")
    assert len(done.stderr.splitlines()) == 1
    assert run("model", "export").stdout == before


@pytest.mark.usefixtures("learnt")
def test_more_files_than_the_setting_allows_are_refused(run: Run) -> None:
    exported = run("model", "export").stdout.replace('"files": 3', '"files": 100001', 1)
    done = run("model", "import", "-", typed=exported)
    assert "line 1, files: 100001 is not allowed; allowed: a whole number from 0 to" in done.stderr


def test_reset_asks_first(run: Run, learnt: Cache) -> None:
    assert run("model", "reset", typed="n\n").returncode == 1
    assert learnt.stores.model.kept().files == 3


class TestWhyPrefetched:
    """A page was read, then its style sheet was fetched before anybody asked for it."""

    @pytest.fixture
    def fetched(self, learnt: Cache) -> Cache:
        """See the class."""
        phone = learnt.device("phone")
        for _ in range(2):
            phone.get("index.html")
        read(learnt, "phone", "index.html")
        learnt.device_caches.fetch("phone", "style.css", Priority.LOW, PREFETCH)
        return learnt

    @pytest.mark.usefixtures("fetched")
    def test_it_tells_the_factors_and_the_evidence(self, run: Run) -> None:
        told = json.loads(run("why-prefetched", "phone", "style.css", "--json").stdout)
        assert (told["held"], told["by"], told["read"]) == (True, PREFETCH, None)
        (one,) = told["evidence"]
        assert (one["after"], one["relation"]) == ("index.html", "same folder")
        assert (one["reads"], one["followed"]) == (READS + 1, READS)
        assert (one["own_reads"], one["own_followed"]) == (2, 0)
        for name in ("probability", "pattern", "time", "relationship"):
            assert 0.5 < one[name] <= 1
        shown = run("why-prefetched", "phone", "style.css").stdout.splitlines()
        assert "style.css on phone   prefetched 20" in shown[0]
        assert shown[0].endswith("ago; not read since")
        assert f"{READS} of {READS + 1}" in shown[2]
        assert shown[2].endswith("same folder")

    def test_whether_it_was_any_use(self, run: Run, fetched: Cache) -> None:
        fetched.device("phone").get("style.css")
        told = json.loads(run("why-prefetched", "phone", "style.css", "--json").stdout)
        assert told["read"] > told["fetched"]
        assert told["evidence"][0]["own_followed"] == 2
        assert "read since, last " in run("why-prefetched", "phone", "style.css").stdout

    @pytest.mark.usefixtures("fetched")
    def test_what_the_device_asked_for_itself(self, run: Run) -> None:
        said = run("why-prefetched", "phone", "index.html").stdout
        assert "fetched when it was asked for" in said
        assert "nothing speaks for it" in said

    @pytest.mark.usefixtures("fetched")
    def test_what_is_not_held(self, run: Run) -> None:
        assert "is not held" in run("why-prefetched", "phone", "写真.jpg").stdout
        assert "nothing speaks" in run("why-prefetched", "nobody", "写真.jpg").stdout

    @pytest.mark.parametrize(
        ("device", "path", "said"),
        [("Phone", "a", "device: 'Phone'"), ("phone", "../a", "path: '../a'")],
    )
    def test_what_is_malformed_is_named(self, run: Run, device: str, path: str, said: str) -> None:
        done = run("why-prefetched", device, path)
        assert done.returncode == 1
        assert said in done.stderr
