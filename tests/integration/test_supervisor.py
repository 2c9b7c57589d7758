"""``cachekeeper up`` with real processes: what it starts, restarts, stops and never leaves."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import redis
from celery import Celery
from click.testing import CliRunner

from cachekeeper.cli.main import main
from cachekeeper.local.services import BACKGROUND_NICE
from cachekeeper.local.state import Row, Running, State, read_running, wait_ready
from cachekeeper.local.supervisor import ONE_SIGNAL_S
from cachekeeper.names import QUEUES, Queue
from cachekeeper.queues import declared_queues
from tests.integration import slow_task
from tests.integration.deployment import ROOT
from tests.integration.processes import family, left
from tests.support import unused_port, wait_until


class Up:
    """Deployments of one state folder, each in a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.state = State(folder / "state")
        self.output = folder / "output"
        self.env = {
            **os.environ,
            "CACHEKEEPER_STATE": str(self.state.folder),
            "CACHEKEEPER_SERVER_PORT": str(unused_port()),
            "CACHEKEEPER_FLOWER_PORT": str(unused_port()),
        }
        self.processes: list[subprocess.Popen[bytes]] = []
        self.started: set[psutil.Process] = set()

    def start(self, plan: str) -> subprocess.Popen[bytes]:
        """Start one; see the plans in `deployment`."""
        with self.output.open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.integration.deployment", plan],
                cwd=ROOT,
                env=self.env,
                stdout=output,
                stderr=output,
            )
        self.processes.append(process)
        return process

    def ready(self, plan: str) -> subprocess.Popen[bytes]:
        """Start one and wait until all of it runs."""
        process = self.start(plan)
        wait_ready(self.state.folder, 30)
        self.look(process)
        return process

    def look(self, process: subprocess.Popen[bytes]) -> None:
        """Remember what it has started, to see afterwards whether it is gone."""
        self.started.update(family(process.pid))

    def row(self, name: str) -> Row:
        """A line of the table of what runs."""
        running = read_running(self.state.folder)
        assert running is not None
        return next(row for row in running.services if row.name == name)

    def gone(self) -> bool:
        """Whether no process that was ever seen is left."""
        return not left(list(self.started))

    def said(self) -> str:
        """All that was printed so far."""
        return self.output.read_text()


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    deployment = Up(tmp_path)
    yield deployment
    for process in deployment.processes:
        process.kill()
        process.wait()
    wait_until(deployment.gone)


def nothing_is_left(up: Up) -> bool:
    files = {path.name for path in up.state.folder.iterdir()}
    sockets = [path for path in up.state.server.rglob("*") if path.is_socket()]
    return up.gone() and not up.state.taken() and not sockets and "up.json" not in files


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_all_of_it(up: Up, number: signal.Signals) -> None:
    process = up.ready("steady")
    process.send_signal(number)
    assert process.wait(10) == 0
    assert nothing_is_left(up)


def test_a_second_signal_kills_at_once(up: Up) -> None:
    process = up.ready("stubborn")
    process.send_signal(signal.SIGINT)
    begin = time.monotonic()
    wait_until(lambda: "stopping" in up.said())
    process.send_signal(signal.SIGINT)  # an echo, as from a wrapper that passes the first on
    # It counts from when the first one reached it, which may be a while later.
    wait_until(lambda: time.monotonic() - begin > ONE_SIGNAL_S + 0.3)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert process.wait(1) == 0
    assert nothing_is_left(up)


def test_what_is_stubborn_is_killed_after_its_grace(up: Up) -> None:
    process = up.ready("stubborn")
    process.terminate()
    assert process.wait(5) == 0
    assert nothing_is_left(up)


def test_a_second_one_shows_the_first_and_exits_with_3(up: Up) -> None:
    up.ready("steady")
    before = up.said()
    assert up.start("steady").wait(10) == 3
    said = up.said().removeprefix(before)
    assert f"runs already in {up.state.folder}" in said
    assert re.search(rf"steady +{up.row('steady').pid} ", said)
    assert "Flower" in said


def test_what_dies_is_started_again_later_each_time(up: Up) -> None:
    process = up.ready("steady")
    waits = []
    for restarts in (1, 2):
        pid = up.row("steady").pid
        assert pid is not None
        begin = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: up.row("steady").pid not in {pid, None})  # noqa: B023
        waits.append(time.monotonic() - begin)
        wait_ready(up.state.folder, 5)
        assert up.row("steady").restarts == restarts
        up.look(process)
    assert waits[0] > 0.4
    assert waits[1] > 0.9
    assert "steady was ended by signal 9 (Killed); starting it again in 0.5 s" in up.said()
    assert "starting it again in 1 s" in up.said()


def test_a_server_that_dies_comes_back_with_its_data_and_its_address(up: Up) -> None:
    process = up.ready("steady")
    row = up.row("server")
    assert row.pid is not None
    with redis.Redis.from_url(row.address) as client:
        client.set("survives", "yes")
        # While its file is synced a server keeps writes back, for up to 2 s on a slow disk.
        wait_until(lambda: client.info("persistence")["aof_buffer_length"] == 0)
        os.kill(row.pid, signal.SIGKILL)
        wait_until(lambda: up.row("server").pid not in {row.pid, None})
        wait_ready(up.state.folder, 10)
        up.look(process)
        assert client.get("survives") == b"yes"


def test_a_service_that_refuses_to_start_stops_all_with_its_message(up: Up) -> None:
    process = up.start("refusing")
    assert process.wait(15) == 1
    said = up.said()
    assert "error: refusing refuses to start (ended with status 1)" in said
    assert said.rstrip().endswith("did you mean immediate?")
    assert nothing_is_left(up)


def test_killed_it_leaves_nothing_and_the_next_one_waits_for_that(up: Up) -> None:
    process = up.ready("stubborn")
    process.kill()
    process.wait()
    assert read_running(up.state.folder) is None
    assert not up.gone(), "the guardian is still at it"
    before = set(up.started)
    up.ready("stubborn")
    assert not left(list(before))
    assert "the last run was killed" in up.said()


def test_a_guardian_that_dies_is_replaced(up: Up) -> None:
    process = up.ready("steady")
    pids = {row.pid for row in (up.row("server"), up.row("steady"))}
    (guardian,) = (child for child in family(process.pid) if child.pid not in pids)
    guardian.kill()
    wait_until(lambda: len(left(family(process.pid))) == 3)
    time.sleep(1)  # the new one is told what to guard by a pipe, which nobody else can look into
    up.look(process)
    process.kill()
    wait_until(up.gone, 5)


def test_what_outlives_even_the_guardian_is_stopped_by_the_next_one(up: Up) -> None:
    process = up.ready("steady")
    row = up.row("steady")
    pids = {row.pid, up.row("server").pid}
    (guardian,) = (child for child in family(process.pid) if child.pid not in pids)
    orphans = [child for child in family(process.pid) if child.pid in pids]
    process.send_signal(signal.SIGSTOP)  # or it would replace the guardian
    guardian.kill()
    process.kill()
    process.wait()
    assert len(left(orphans)) == 2
    up.ready("steady")
    assert not left(orphans)


def test_given_servers_are_used_and_none_is_started(up: Up, tmp_path: Path) -> None:
    other = Up(tmp_path / "other")
    (tmp_path / "other").mkdir()
    given = other.ready("steady")
    url = other.row("server").address
    up.env |= {"CACHEKEEPER_BROKER_URL": url, "CACHEKEEPER_CACHE_URL": url}
    process = up.ready("steady")
    running = read_running(up.state.folder)
    assert running is not None
    assert (running.broker_url, running.cache_url) == (url, url)
    assert [row.name for row in running.services] == ["steady"]
    assert len(family(process.pid)) == 2, "the service and the guardian"
    given.terminate()
    given.wait(10)


def test_a_given_server_that_does_not_answer_is_an_error(up: Up) -> None:
    up.env["CACHEKEEPER_CACHE_URL"] = f"redis://:secret@127.0.0.1:{unused_port()}/0"
    assert up.start("steady").wait(10) == 1
    assert "does not answer" in up.said()
    assert "secret" not in up.said()
    assert nothing_is_left(up)


class TestCommands:
    def test_status_and_stop(self, up: Up) -> None:
        run, state = CliRunner().invoke, ["--state", str(up.state.folder)]
        assert run(main, ["status", *state]).exit_code == 1
        assert run(main, ["stop", *state]).output.startswith("nothing runs in")
        process = up.ready("steady")
        shown = run(main, ["status", *state])
        assert shown.exit_code == 0
        assert re.search(rf"steady +{up.row('steady').pid} ", shown.output)
        for queue in QUEUES:
            assert re.search(rf"^  {queue} +0 +-$", shown.output, re.MULTILINE), shown.output
        table = json.loads(run(main, ["status", "--json", *state]).output)
        assert table["ready"] is True
        assert table["pid"] == process.pid
        assert table["queues"][0] == {"name": Queue.IMMEDIATE, "waiting": 0, "oldest_s": None}
        stopped = run(main, ["stop", *state])
        assert (stopped.exit_code, stopped.output) == (0, "stopped\n")
        assert process.wait(1) == 0
        assert nothing_is_left(up)
        assert json.loads(run(main, ["status", "--json", *state]).output) is None

    def test_an_error_is_one_line(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CACHEKEEPER_SERVER_PROT", "1")
        result = CliRunner().invoke(main, ["status"])
        assert result.exit_code == 1
        assert result.stderr == (
            "error: CACHEKEEPER_SERVER_PROT: unknown setting; "
            "did you mean CACHEKEEPER_SERVER_PORT?\n"
        )


class TestApplication:
    """The same with what is really run: four workers, beat and Flower."""

    def test_it_runs_everything_and_stops_within_seconds(self, up: Up) -> None:
        port = int(up.env["CACHEKEEPER_FLOWER_PORT"])
        with socket.create_server(("127.0.0.1", port)):
            process = up.ready("application")
        running = read_running(up.state.folder)
        assert running is not None
        names = ["server", "immediate", "general", "plan", "fetch", "beat", "flower", "devices"]
        assert [row.name for row in running.services] == names
        general, immediate = (self.niceness(running, name) for name in ("general", "immediate"))
        for ours, theirs in zip(general, immediate, strict=True):
            assert ours - theirs == BACKGROUND_NICE
        assert running.flower_url is not None
        assert f":{port}" not in running.flower_url, "that port was taken"
        with urllib.request.urlopen(running.flower_url, timeout=5) as page:
            assert page.status == 200
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{running.flower_url}/api/workers", timeout=5)
        assert refused.value.code == 401
        refused.value.close()
        assert self.addresses(running) == {"127.0.0.1"}
        process.send_signal(signal.SIGINT)
        assert process.wait(5) == 0
        assert nothing_is_left(up)

    def test_killed_while_idle_it_leaves_nothing_within_5_seconds(self, up: Up) -> None:
        process = up.ready("application")
        process.kill()
        wait_until(up.gone, 5)

    def test_killed_within_a_task_that_runs_once_more_after_the_next_start(
        self, up: Up, tmp_path: Path
    ) -> None:
        diary, enough = tmp_path / "diary", tmp_path / "enough"
        process = up.ready("application")
        self.send(up, str(diary), str(enough))
        wait_until(lambda: diary.exists() and "start" in diary.read_text())
        process.kill()
        wait_until(up.gone, 15)
        assert diary.read_text() == "start\n"
        enough.touch()
        up.ready("application")
        wait_until(lambda: "end" in diary.read_text())
        with redis.Redis.from_url(up.row("server").address) as broker:
            wait_until(lambda: not broker.exists("unacked", Queue.MAINTENANCE))
        assert diary.read_text() == "start\nstart\nend\n"

    def test_a_task_is_not_lost_when_everything_is_killed(self, up: Up, tmp_path: Path) -> None:
        diary, enough = tmp_path / "diary", tmp_path / "enough"
        process = up.ready("application")
        self.send(up, str(diary), str(enough))
        wait_until(lambda: diary.exists() and "start" in diary.read_text())
        for child in [psutil.Process(process.pid), *family(process.pid)]:
            child.suspend()  # so that nobody has the time to do anything about it
        for child in [psutil.Process(process.pid), *family(process.pid)]:
            child.kill()
        process.wait()
        wait_until(up.gone)
        enough.touch()
        up.ready("application")
        wait_until(lambda: "end" in diary.read_text())
        assert "which run again: 1" in up.said()
        assert diary.read_text() == "start\nstart\nend\n"

    @staticmethod
    def send(up: Up, *arguments: str) -> None:
        with Celery(broker=up.row("server").address, set_as_current=False) as app:
            app.conf.update(task_queues=declared_queues())
            app.send_task(slow_task.NAME, arguments, queue=Queue.MAINTENANCE)

    @staticmethod
    def niceness(running: Running, name: str) -> list[int]:
        """Of the process, and of its session where there are such: those are what counts."""
        (pid,) = (row.pid for row in running.services if row.name == name)
        session = Path(f"/proc/{pid}/autogroup")
        said = session.read_text().split() if session.exists() else []
        return [psutil.Process(pid).nice(), *(int(word) for word in said[-1:])]

    @staticmethod
    def addresses(running: Running) -> set[str]:
        """The addresses that anything of it listens on."""
        return {
            connection.laddr.ip
            for process in family(running.pid)
            for connection in process.net_connections("inet")
            if connection.status == psutil.CONN_LISTEN
        }
