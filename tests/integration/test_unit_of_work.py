"""A producer killed between the commit of its database and the invalidation leaves nothing stale.

Real processes: the producer, a worker with beat, the server.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import pytest
from pytest_celery import CeleryTestSetup

from cachekeeper.client.cache import Cache
from cachekeeper.names import QUEUES
from cachekeeper.settings import PREFIX, Settings
from tests.integration.committing import NEW, POINTS
from tests.rig.plugin import Given
from tests.support import wait_until

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "sqlalchemy_session.py"
DEADLINE_S = 1.0
SWEEP_S = 0.2
SLACK_S = 10.0  # on a busy machine
DONE_S = 30.0
#: A producer on this machine starts in a second or two.
STARTED_S = 60.0


@pytest.fixture
def worker_settings() -> Given:
    """Looks often for what was left to its deadline."""
    return {"prepared_sweep_s": SWEEP_S}


@pytest.fixture
def default_worker_command(default_worker_command: list[str], tmp_path: Path) -> list[str]:
    """With beat."""
    return [*default_worker_command, "-B", "-s", str(tmp_path / "schedule")]


@pytest.fixture
def environment(rig_settings: Settings) -> Mapping[str, str]:
    """What a producer of the deployment is told."""
    names = ("broker_url", "cache_url", "deployment", "state")
    given = {f"{PREFIX}{name.upper()}": str(getattr(rig_settings, name)) for name in names}
    return {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", **given}


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """One note."""
    path = tmp_path / "notes.sqlite"
    with closing(sqlite3.connect(path)) as made:
        made.execute("CREATE TABLE note (name TEXT PRIMARY KEY, text TEXT)")
        made.execute("INSERT INTO note VALUES ('a', 'old')")
        made.commit()
    return path


def read(database: Path) -> bytes:
    """The truth."""
    with closing(sqlite3.connect(database)) as opened:
        ((text,),) = opened.execute("SELECT text FROM note")
    return str(text).encode()


@pytest.mark.parametrize("point", POINTS)
def test_a_producer_that_is_killed_leaves_nothing_stale(
    celery_setup: CeleryTestSetup,
    cache: Cache,
    environment: Mapping[str, str],
    database: Path,
    point: str,
) -> None:
    assert celery_setup.worker
    notes = cache.namespace("note")
    notes.loader(lambda _: read(database))
    assert notes.get("a") == b"old"

    killed = subprocess.run(
        [sys.executable, "-m", "tests.integration.committing", point, database, str(DEADLINE_S)],
        env=environment,
        timeout=STARTED_S,
        check=False,
    )
    died = time.monotonic()

    assert killed.returncode == -signal.SIGKILL
    wait_until(lambda: cache.stores.marks.now().epoch, DONE_S)
    assert time.monotonic() - died < DEADLINE_S + SLACK_S
    assert read(database) == (b"old" if point == "prepared" else NEW.encode())
    wait_until(lambda: notes.get("a") == read(database), DONE_S)
    wait_until(lambda: cache.stores.prepared.waiting() == (0, 0), DONE_S)
    wait_until(lambda: not cache.stores.connection.redis.exists(*QUEUES, "unacked"), DONE_S)
    assert cache.stores.marks.now().epoch == 1, "however often it was sent"


def test_the_example_with_sqlalchemy_does_what_it_says(
    celery_setup: CeleryTestSetup, environment: Mapping[str, str]
) -> None:
    assert celery_setup.worker
    done = subprocess.run(
        [sys.executable, "-W", "error", EXAMPLE],
        env=environment,
        capture_output=True,
        text=True,
        timeout=STARTED_S,
        check=False,
    )
    assert (done.stderr, done.stdout.splitlines()) == (
        "",
        [
            "b'Buy milk'",
            "b'Buy milk' 1 read from memory",
            "done ['note:milk']",
            "b'Buy oat milk'",
        ],
    )
