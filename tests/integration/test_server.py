"""The embedded server: real processes, a second starter, and an owner that is killed."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import redis

from cachekeeper.errors import ConfigurationError
from cachekeeper.local.engine import Engine
from cachekeeper.local.server import EmbeddedServer
from tests.integration.processes import family, left
from tests.support import unused_port, wait_until

OWNER = """
import signal, sys
from pathlib import Path
from cachekeeper.local.server import EmbeddedServer
with EmbeddedServer(Path(sys.argv[1]), port=int(sys.argv[2])) as server:
    print(server.url, flush=True)
    signal.pause()
"""


@contextmanager
def owner(folder: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Another process that runs a server on the folder, and the server's URL."""
    command = [sys.executable, "-c", OWNER, str(folder), str(unused_port())]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


def client(server: EmbeddedServer | str) -> redis.Redis:
    return redis.Redis.from_url(server if isinstance(server, str) else server.url)


def test_it_listens_on_loopback_and_on_a_socket_and_keeps_what_it_is_given(tmp_path: Path) -> None:
    folder = tmp_path / "a folder \"with 'everything' é"
    with EmbeddedServer(folder, port=unused_port()) as server, client(server) as tcp:
        tcp.set("a", 1)
        with redis.Redis(unix_socket_path=str(server.socket)) as unix:
            assert unix.get("a") == b"1"
        assert tcp.config_get("bind")["bind"] == "127.0.0.1"
        assert tcp.config_get("appendonly")["appendonly"] == "yes"
        assert tcp.config_get("maxmemory-policy")["maxmemory-policy"] == "noeviction"
        process = psutil.Process(server.pid)
    assert not left([process])
    with EmbeddedServer(folder, port=unused_port()) as server, client(server) as tcp:
        assert tcp.get("a") == b"1"


def test_nothing_but_the_data_and_the_log_is_left(tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path, port=unused_port()) as server:
        data = server.data
    names = {path.name for path in data.iterdir()}
    assert names == {"appendonlydir", "lock", "server.conf", "server.log"}


def test_a_path_too_long_for_a_socket(tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path / ("x" * 120), port=unused_port()) as server:
        assert server.data not in server.socket.parents
        with redis.Redis(unix_socket_path=str(server.socket)) as unix:
            assert unix.ping()
    assert not server.socket.parent.exists()


def test_a_port_that_is_taken_gives_the_next_one(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with EmbeddedServer(tmp_path, port=port) as server, client(server) as tcp:
            assert tcp.ping()
            assert tcp.connection_pool.connection_kwargs["port"] > port


def test_a_port_that_is_bound_between_the_look_and_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with EmbeddedServer(tmp_path / "first", port=unused_port()) as first, client(first) as tcp:
        port = tcp.connection_pool.connection_kwargs["port"]
        looks = iter([port, unused_port()])
        monkeypatch.setattr("cachekeeper.local.server.free_port", lambda _: next(looks))
        with EmbeddedServer(tmp_path / "second", port=port) as second:
            assert second.url != first.url
            assert second.pid != first.pid


def test_a_second_starter_attaches_and_leaves_it_running(tmp_path: Path) -> None:
    with owner(tmp_path) as (_, url), client(url) as tcp:
        with EmbeddedServer(tmp_path, port=unused_port()) as second:
            assert second.url == url
            assert second.process is None
        assert tcp.ping()


def test_an_owner_that_is_killed_leaves_its_data_and_no_orphan(tmp_path: Path) -> None:
    with owner(tmp_path) as (process, url), client(url) as tcp:
        tcp.set("survives", "yes")
        started = family(process.pid)
        assert len(started) == 2, "the server and the guardian"
        process.kill()
        wait_until(lambda: not left(started), 5)
    with EmbeddedServer(tmp_path, port=unused_port()) as server, client(server) as tcp:
        assert tcp.get("survives") == b"yes"


def test_a_server_that_outlives_even_its_guardian_is_attached_to(tmp_path: Path) -> None:
    with owner(tmp_path) as (process, url):
        with client(url) as tcp:
            pid = int(tcp.info("server")["process_id"])
        (guardian,) = (p for p in family(process.pid) if p.pid != pid)
        guardian.kill()
        process.kill()
        wait_until(lambda: not left([guardian]))
        with EmbeddedServer(tmp_path, port=unused_port()) as second:
            assert (second.pid, second.process) == (pid, None)
        orphan = psutil.Process(pid)
        orphan.send_signal(signal.SIGTERM)
        wait_until(lambda: not left([orphan]))


def test_a_program_that_fails_is_quoted(tmp_path: Path) -> None:
    program = tmp_path / "broken"
    program.write_text("#!/bin/sh\necho no such feature\nexit 1\n")
    program.chmod(0o755)
    broken = EmbeddedServer(tmp_path, engine=Engine(program, "valkey", (9, 0)), port=unused_port())
    with pytest.raises(ConfigurationError, match="no such feature"):
        broken.start()
