"""Changes that are told by a message, and the sweep as a task."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cachekeeper.cli.main import main
from cachekeeper.client.cache import Cache
from cachekeeper.core.dead import Kind, Letter
from cachekeeper.core.receipt import Status
from cachekeeper.names import Task
from tests.support import wait_until
from tests.tasks.conftest import Run, Send


@pytest.fixture
def files(origin: Path) -> Path:
    (origin / "album").mkdir()
    for path in ("a.txt", "album/b.txt"):
        (origin / path).write_text("old")
    return origin


def swept(cache: Cache) -> bool:
    state = cache.stores.sweeps.state()
    return state.learnt and not state.phase


def test_a_report_invalidates_a_file_and_says_so(run: Run, cache: Cache, files: Path) -> None:
    assert cache.files.get("a.txt") == b"old"
    (files / "a.txt").write_text("new")
    assert cache.files.get("a.txt") == b"old"
    done = run(Task.REPORT_CHANGES, paths=["a.txt"], id="push-1", by="a script", reason="saved")
    assert done == {"keys": 2, "requests": 1}
    receipt = cache.receipt("push-1").wait(15)
    assert (receipt.status, receipt.by, receipt.reason) == (Status.DONE, "a script", "saved")
    assert receipt.names == ["file:a.txt", "folder:."]
    assert cache.files.get("a.txt") == b"new"


def test_a_report_of_a_folder_stands_for_all_in_it(run: Run, cache: Cache, files: Path) -> None:
    run(Task.RECONCILE)
    wait_until(lambda: swept(cache))
    (files / "album").rename(files / "shelf")
    run(Task.REPORT_CHANGES, paths=["album", "shelf"], id="moved")
    names = set(cache.receipt("moved").wait(15).names)
    assert {"file:album/b.txt", "file:shelf/b.txt", "folder:album", "folder:."} <= names


def test_a_report_that_comes_twice_is_done(run: Run, cache: Cache, files: Path) -> None:
    run(Task.REPORT_CHANGES, paths=["album"], id="twice")
    cache.receipt("twice").wait(15)
    (files / "album" / "c.txt").write_text("new")
    assert run(Task.REPORT_CHANGES, paths=["album"], id="twice")["requests"] == 1


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({}, "paths"),
        ({"paths": "a.txt"}, "paths"),
        ({"paths": []}, "paths"),
        ({"paths": ["a"] * 1001}, "paths"),
        ({"paths": ["a.txt", "../b"]}, "paths[1]"),
        ({"paths": [7]}, "paths[0]"),
        ({"paths": ["a"], "reason": "x" * 201}, "reason"),
        ({"paths": ["a"], "by": None}, "by"),
        ({"paths": ["a"], "by": "\ud800"}, "by"),
        ({"paths": ["a"], "id": ""}, "id"),
        ({"paths": ["a"], "path": "b"}, "path"),
    ],
)
def test_a_malformed_report_is_buried_with_the_reason(
    send: Send, letter: Callable[[], Letter], fields: dict[str, Any], named: str
) -> None:
    send(Task.REPORT_CHANGES, **fields)
    found = letter()
    assert found.kind is Kind.MALFORMED
    assert found.reason.startswith(f"InvalidInput: {named}:") or f"{named}:" in found.reason


@pytest.mark.parametrize("reason", ["x" * 201, "\udcff"])
def test_a_reason_that_would_be_refused_is_not_sent(reason: str) -> None:
    done = CliRunner().invoke(main, ["changed", "--reason", reason, "a.txt"])
    assert done.exit_code == 1
    assert "error: reason: " in done.output


def test_a_sweep_finds_what_nobody_told(run: Run, cache: Cache, files: Path) -> None:
    run(Task.RECONCILE)
    assert swept(cache)
    wait_until(lambda: cache.stores.marks.now().epoch)
    assert cache.files.get("a.txt") == b"old"
    (files / "a.txt").write_text("new")
    assert run(Task.RECONCILE) == {"changed": 1, "new": 0, "gone": 0}
    wait_until(lambda: cache.files.get("a.txt") == b"new")
    assert run(Task.RECONCILE, anew=True) == {"changed": 0, "new": 0, "gone": 0}


def test_a_malformed_sweep_is_buried(send: Send, letter: Callable[[], Letter]) -> None:
    send(Task.RECONCILE, anew=1)
    assert "anew" in letter().reason


def test_nothing_is_lost_without_the_cache_server(
    send: Send, cache: Cache, files: Path, without_cache_server: Callable[[], None]
) -> None:
    assert (files / "a.txt").exists()
    send(Task.REPORT_CHANGES, paths=["a.txt"], id="late")
    without_cache_server()
    wait_until(lambda: cache.stores.receipts.load("late"))
    assert cache.receipt("late").wait(15).status is Status.DONE
