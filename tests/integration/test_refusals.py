"""A worker that could not do its work does not start: status 1, and one line that says why."""

from __future__ import annotations

import os
import socketserver
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis

from cachekeeper.local.guardian import Group, stop
from cachekeeper.local.server import EmbeddedServer
from cachekeeper.local.spawn import Guardian, spawn
from cachekeeper.names import Queue
from cachekeeper.settings import PREFIX
from tests.support import unused_port
from workers.lifecycle import REFUSED

STARTED_S = 15


def refusal(
    broker_url: str, folder: Path, *options: str, application: str = "workers.app", **env: str
) -> str:
    """What a worker says that refuses to start."""
    given = {"BROKER_URL": broker_url, "CACHE_URL": broker_url, "STATE": str(folder / "state")}
    given |= env
    argv = [sys.executable, "-m", "celery", "-A", application, "worker", *options]
    said = folder / "said"
    with Guardian() as guardian, said.open("wb") as output:
        # One that starts all the same is stopped, with its children.
        env = {**os.environ, **{f"{PREFIX}{name}": value for name, value in given.items()}}
        worker = spawn(argv, guardian, output=output, env=env, cwd=folder)
        try:
            assert worker.wait(STARTED_S) == REFUSED, said.read_text()
        finally:
            stop([Group.of(worker.pid, grace=0)])
            worker.wait()
            guardian.remove(worker.pid)
    text = said.read_text()
    assert "Traceback" not in text
    (line,) = (line for line in text.splitlines() if line.startswith("cachekeeper: "))
    return line.removeprefix("cachekeeper: refused to start: ")


def test_a_broker_that_may_evict_messages(tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path / "server", port=unused_port()) as server:
        with redis.Redis.from_url(server.url) as client:
            client.config_set("maxmemory-policy", "allkeys-lru")
        line = refusal(server.url, tmp_path)
    assert line == "broker server: maxmemory-policy is allkeys-lru; allowed: noeviction"


def test_a_cache_server_that_may_evict_the_truth(server_url: str, tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path / "server", port=unused_port()) as server:
        with redis.Redis.from_url(server.url) as client:
            client.config_set("maxmemory-policy", "allkeys-lru")
        line = refusal(server_url, tmp_path, CACHE_URL=server.url)
    assert line.startswith("cache server: maxmemory-policy is allkeys-lru; allowed: noeviction, ")


def test_a_celery_setting_that_celery_would_ignore(server_url: str, tmp_path: Path) -> None:
    line = refusal(server_url, tmp_path, application="tests.rig.misspelt")
    assert line == (
        "celeryconfig: unknown setting worker_prefetch_multiplyer; "
        "did you mean worker_prefetch_multiplier?"
    )


def test_a_queue_that_nobody_sends_to(server_url: str, tmp_path: Path) -> None:
    queues = f"{Queue.SCHEDULED},invalidation.imediate"
    line = refusal(server_url, tmp_path, "-Q", queues)
    hint = "queue: invalidation.imediate is unknown; did you mean invalidation.immediate?"
    assert line.startswith(f"{hint}; allowed: invalidation.immediate, ")


def test_a_variable_that_no_setting_reads(server_url: str, tmp_path: Path) -> None:
    line = refusal(server_url, tmp_path, DEVICE_QUOTTA="1GiB")
    hint = "did you mean CACHEKEEPER_DEVICE_QUOTA?"
    assert line == f"CACHEKEEPER_DEVICE_QUOTTA: unknown setting; {hint}"


def test_a_value_out_of_bounds(server_url: str, tmp_path: Path) -> None:
    line = refusal(server_url, tmp_path, LEASE_S="-1")
    assert line == "lease_s: Input should be greater than 0 (given '-1')"


def test_no_server_at_all(tmp_path: Path) -> None:
    url = f"redis://127.0.0.1:{unused_port()}/0"
    assert refusal(url, tmp_path).startswith("broker server does not answer: ")


def test_a_server_of_an_older_version(tmp_path: Path) -> None:
    with old_server("6.2.14") as url:
        line = refusal(url, tmp_path)
    assert line == "broker server: Redis 6.2.14; allowed: 7.0 or later"


def test_a_server_so_old_that_it_can_not_shake_hands(tmp_path: Path) -> None:
    with old_server("5.0.7") as url:
        line = refusal(url, tmp_path)
    assert line == "broker server: unknown command; allowed: Redis 7.0 or later, INFO permitted"


@contextmanager
def old_server(version: str) -> Iterator[str]:
    """The URL of something that answers as a Redis of that version does while a client connects."""

    class Old(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while first := self.rfile.readline():
                words = [self._word() for _ in range(int(first[1:]))]
                self.wfile.write(_answer(version, words[0].upper()))

        def _word(self) -> str:
            size = int(self.rfile.readline()[1:])
            return self.rfile.read(size + 2)[:size].decode()

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Old) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield f"redis://127.0.0.1:{server.server_address[1]}/0"
        finally:
            server.shutdown()
            thread.join()


def _answer(version: str, command: str) -> bytes:
    if command == "INFO":
        text = f"redis_version:{version}\r\nmaxmemory_policy:noeviction\r\n".encode()
        return b"$%d\r\n%s\r\n" % (len(text), text)
    if command == "HELLO" and not version.startswith("5."):
        return b"%1\r\n$5\r\nproto\r\n:3\r\n"
    if command == "SELECT":
        return b"+OK\r\n"
    return b"-ERR unknown command\r\n"
