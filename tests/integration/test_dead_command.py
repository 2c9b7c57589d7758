"""``cachekeeper dead``: the real command, on a real server, and a worker that does the work."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from click.testing import CliRunner

from cachekeeper import Cache
from cachekeeper.cli.main import main
from cachekeeper.core.dead import Kind
from cachekeeper.core.receipt import Status, failed_receipt
from cachekeeper.core.request import make_request
from cachekeeper.core.strategy import CONSISTENCIES, Consistency
from cachekeeper.local.guardian import Group, stop
from cachekeeper.local.spawn import Guardian, spawn
from cachekeeper.names import QUEUES, Queue, Task
from cachekeeper.settings import PREFIX, Settings
from cachekeeper.store.redis.dead import RedisDeadLetters
from tests.support import wait_until

COMMAND = [sys.executable, "-W", "error", "-c", "from cachekeeper.cli.main import main; main()"]
ROOT = Path(__file__).parents[2]
HOSTILE = "note:\x9b31mred"
BROKER_DATABASE = 11  # nobody else of this session takes from there
DONE_S = 30

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def cache(server_url: str, deployment: str, tmp_path: Path) -> Iterator[Cache]:
    """With four dead letters: 1 malformed, 2 permanent, 3 and 4 given up; 4 is the newest."""
    broker_url = server_url.removesuffix("/0") + f"/{BROKER_DATABASE}"
    settings = Settings(
        cache_url=server_url,
        broker_url=broker_url,
        deployment=deployment,
        state=tmp_path / "state",
        memory_bytes=0,
    )
    with Cache(settings) as opened:
        letters, now = RedisDeadLetters(opened.stores.connection), time.time()
        bad = {"keys": [HOSTILE], "colour": "red"}
        letters.bury(work(Task.INVALIDATE, "one", bad), "colour: 'red' is not", now - 7300)
        wanted = {"device": "phone", "path": "a.jpg"}
        letters.bury(
            work(Task.PREFETCH, "two", wanted), "a.jpg: missing", now - 600, kind=Kind.PERMANENT
        )
        for name in ("three", "four"):
            request = make_request(id=name, at=now - 60, keys=[f"note:{name}"], strategy="lazy")
            failed = work(Task.INVALIDATE, name, request.to_wire(), Queue.LAZY)
            letters.bury(failed, "ValueError: broken", now, kind=Kind.GAVE_UP, attempts=2)
            opened.stores.receipts.save([failed_receipt(request, "broken", now)])
        yield opened
    with redis.Redis.from_url(broker_url) as broker:
        broker.delete(*QUEUES)


def work(
    task: str, name: str, arguments: dict[str, Any], queue: str = Queue.IMMEDIATE
) -> dict[str, object]:
    return {"task": task, "id": name, "queue": queue, "arguments": arguments}


@pytest.fixture
def env(cache: Cache) -> dict[str, str]:
    """The environment of a process that is to find this cache."""
    given = {
        "CACHE_URL": cache.settings.cache_url,
        "BROKER_URL": cache.settings.broker_url,
        "DEPLOYMENT": cache.settings.deployment,
        "STATE": cache.settings.state,
    }
    return {f"{PREFIX}{name}": str(value) for name, value in given.items()}


@pytest.fixture
def run(env: dict[str, str]) -> Run:
    """The command ``cachekeeper dead`` with these arguments, in a process of its own."""

    def command(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*COMMAND, "dead", *arguments],
            env=os.environ | env,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    return command


@pytest.fixture
def call(env: dict[str, str]) -> Callable[..., Any]:
    """The same command, in this process."""
    return lambda *arguments: CliRunner(env=env).invoke(main, ["dead", *arguments])


def listed(call: Callable[..., Any], *arguments: str) -> list[str]:
    done = call("list", "--json", *arguments)
    assert done.exit_code == 0, done.stderr
    return [letter["id"] for letter in json.loads(done.stdout)["letters"]]


def queued(cache: Cache) -> dict[str, int]:
    assert cache.settings.broker_url
    with redis.Redis.from_url(cache.settings.broker_url) as broker:
        queues = (Queue.IMMEDIATE, Queue.LAZY, Queue.PREFETCH)
        return {queue: length for queue in queues if (length := int(broker.llen(queue)))}


def test_a_list(run: Run) -> None:
    done = run("list")
    assert (done.returncode, done.stderr) == (0, "")
    head, *lines = done.stdout.splitlines()
    assert head.split() == ["id", "age", "kind", "tried", "task", "names:", "reason"]
    assert [line.split()[0] for line in lines] == ["4", "3", "2", "1"]
    assert lines[0].endswith(f"{Task.INVALIDATE:<27} note:four: ValueError: broken")
    assert lines[3].split()[1:4] == ["2h", "malformed", "1"]
    assert "\x9b" not in done.stdout, "what a producer wrote does not reach the terminal"
    done = run("list", "--limit", "1")
    assert (len(done.stdout.splitlines()), done.stderr) == (2, "… 3 more\n")


@pytest.mark.parametrize(
    ("arguments", "ids"),
    [
        ([], ["4", "3", "2", "1"]),
        (["--filter", "NOTE:"], ["4", "3", "1"]),
        (["--filter", "lazy"], ["4", "3"]),
        (["--reason", "broken"], ["4", "3"]),
        (["--reason", "note"], []),
        (["--task", Task.PREFETCH], ["2"]),
        (["--since", "2h"], ["4", "3", "2"]),
        (["--since", "60s", "--filter", "four"], ["4"]),
        (["--limit", "2"], ["4", "3"]),
    ],
)
def test_a_list_of_some(call: Callable[..., Any], arguments: list[str], ids: list[str]) -> None:
    assert listed(call, *arguments) == ids


def test_an_empty_list(call: Callable[..., Any]) -> None:
    assert call("list", "--filter", "nothing like it").stdout == "no dead letters\n"


def test_all_of_a_letter(run: Run, call: Callable[..., Any]) -> None:
    done = run("show", "3")
    assert (done.returncode, done.stderr) == (0, "")
    told = done.stdout.splitlines()
    assert told[0] == f"3   gave up   {Task.INVALIDATE}"
    assert "  reason       ValueError: broken" in told
    assert "  attempts     2" in told
    assert '  id           "three"' in told
    assert any(line.startswith('  arguments    {"keys": ["note:three"]') for line in told)
    told_of = json.loads(call("show", "3", "--json").stdout)
    assert told_of["work"]["arguments"]["id"] == "three"
    assert (told_of["kind"], told_of["names"]) == ("gave up", ["note:three"])


def test_a_dry_run_changes_nothing(run: Run, call: Callable[..., Any], cache: Cache) -> None:
    done = run("replay", "--all", "--dry-run")
    assert done.returncode == 1
    assert [line.split()[:3] for line in done.stdout.splitlines()] == [
        ["would", "replay", name] for name in "432"
    ]
    assert "refused 1  invalidation.request" in done.stderr
    assert done.stderr.endswith("3 would be replayed, 1 refused\n")
    done = call("drop", "--all", "--dry-run")
    assert (done.exit_code, done.stderr) == (0, "4 would be dropped\n")
    assert listed(call) == ["4", "3", "2", "1"]
    assert queued(cache) == {}
    assert cache.receipt("four").read().status is Status.FAILED


def test_a_replay_of_some(call: Callable[..., Any], cache: Cache) -> None:
    done = call("replay", "--id", "4", "--id", "2")
    assert (done.exit_code, done.stderr) == (0, "2 replayed\n")
    assert done.stdout.splitlines() == [
        f"replayed 4  {Task.INVALIDATE}  note:four",
        f"replayed 2  {Task.PREFETCH}  phone, a.jpg",
    ]
    assert listed(call) == ["3", "1"]
    assert queued(cache) == {Queue.LAZY: 1, Queue.IMMEDIATE: 1}, "where they came from"
    assert cache.receipt("four").read().status is Status.PENDING
    assert cache.receipt("three").read().status is Status.FAILED


def test_a_malformed_letter_is_refused_and_stays(run: Run, call: Callable[..., Any]) -> None:
    done = run("replay", "--id", "1")
    assert (done.returncode, done.stdout) == (1, "")
    assert "id: '1' is not allowed; allowed: what is well-formed; this can only fail again" in (
        done.stderr
    )
    assert "1" in listed(call)


def test_a_drop(call: Callable[..., Any]) -> None:
    done = call("drop", "--reason", "broken", "--filter", "four")
    assert (done.exit_code, done.stderr) == (0, "1 dropped\n")
    assert done.stdout == f"dropped 4  {Task.INVALIDATE}  note:four\n"
    assert call("drop", "--all").stderr == "3 dropped\n"
    assert listed(call) == []


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["show", "99"], 1, "error: id: '99' is not allowed; allowed: one that"),
        (["replay", "--id", "99", "--id", "3"], 1, "error: id: '99' is not allowed"),
        (["drop", "--id", "99"], 1, "error: id: '99' is not allowed"),
        (["replay"], 2, "say which: --all, or some of --id"),
        (["drop"], 2, "say which: --all, or some of --id"),
        (["drop", "--all", "--id", "3"], 2, "say which: --all, or some of --id"),
        (["list", "--since", "yesterday"], 1, "error: since: 'yesterday' is not allowed"),
        (["list", "--since", "9999999999d"], 1, "error: since: '9999999999d' is not allowed"),
        (["list", "--limit", "0"], 2, "--limit"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_changed(
    call: Callable[..., Any], cache: Cache, arguments: list[str], code: int, said: str
) -> None:
    done = call(*arguments)
    assert (done.exit_code, done.stdout) == (code, "")
    assert said in done.stderr
    assert listed(call) == ["4", "3", "2", "1"]
    assert queued(cache) == {}


def test_without_a_broker_every_letter_stays(
    call: Callable[..., Any], env: dict[str, str], cache: Cache
) -> None:
    away = env | {f"{PREFIX}BROKER_URL": "redis://127.0.0.1:1/0"}
    done = CliRunner(env=away).invoke(main, ["dead", "replay", "--id", "3"])
    assert done.exit_code == 1
    assert done.stderr.startswith("error: broker: ")
    assert listed(call) == ["4", "3", "2", "1"]
    assert cache.receipt("three").read().status is Status.FAILED


@pytest.mark.slow
def test_what_fails_in_a_worker_is_tried_again_then_a_letter_then_done(
    run: Run, call: Callable[..., Any], env: dict[str, str], cache: Cache, tmp_path: Path
) -> None:
    """A worker with a child, and beat, which rings for what is due."""
    connection = cache.stores.connection
    handle = cache.invalidate("note:five", consistency="eventual")
    place = connection.layout.marked(handle.id, 0)
    connection.redis.set(place, "what no mark is", ex=600)
    argv = [sys.executable, "-m", "celery", "-A", "workers.app", "worker", "-c", "1", "-B"]
    argv += ["-s", str(tmp_path / "schedule"), "-Q", Queue.IMMEDIATE]
    log = tmp_path / "log"
    with Guardian() as guardian, log.open("wb") as output:
        worker = spawn(argv, guardian, output=output, env=os.environ | env, cwd=ROOT)
        try:
            assert handle.wait(DONE_S).status is Status.FAILED, log.read_text()
            wait_until(lambda: listed(call, "--filter", handle.id) == ["5"])
            (letter,) = RedisDeadLetters(connection).load(["5"])
            assert (letter.kind, letter.attempts) == (Kind.GAVE_UP, 2), log.read_text()
            assert letter.died - letter.first_seen < CONSISTENCIES[Consistency.EVENTUAL].delay_s

            connection.redis.delete(place)
            assert run("replay", "--filter", "note:five").returncode == 0
            assert handle.wait(DONE_S).status is Status.DONE, log.read_text()
        finally:
            stop([Group.of(worker.pid, grace=8)])
            worker.wait()
            guardian.remove(worker.pid)
    assert cache.settings.broker_url
    with redis.Redis.from_url(cache.settings.broker_url) as broker:
        assert not broker.hkeys("unacked"), "every message was acknowledged"
