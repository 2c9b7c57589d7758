"""What the embedded server is made of, without starting one."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from cachekeeper.errors import ConfigurationError
from cachekeeper.local import guardian
from cachekeeper.local.engine import Engine, discover
from cachekeeper.local.guardian import Group, Living
from cachekeeper.local.logs import Log
from cachekeeper.local.network import SUN_PATH, socket_path
from cachekeeper.local.server import EmbeddedServer, quoted
from cachekeeper.local.state import State, read_running


def program(folder: Path, name: str, says: str, status: int = 0) -> Path:
    """A program that answers ``--version`` with ``says``."""
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{says}'\nexit {status}\n")
    path.chmod(0o755)
    return path


class TestDiscovery:
    def test_the_bundled_server_comes_first(self, tmp_path: Path) -> None:
        program(tmp_path, "redis-server", "Redis server v=99.0.0 sha=0")
        assert discover(path=str(tmp_path)).flavour == "valkey"

    def test_the_bundled_server_needs_no_path(self) -> None:
        assert discover(path="").version >= (9, 1)

    def test_then_valkey_then_redis_on_path(self, tmp_path: Path) -> None:
        redis = program(tmp_path, "redis-server", "Redis server v=7.0.15 sha=00000000:0")
        assert discover((), str(tmp_path)) == Engine(redis, "redis", (7, 0, 15))
        valkey = program(tmp_path, "valkey-server", "Valkey server v=8.1.0 sha=00000000:0")
        assert discover((), str(tmp_path)) == Engine(valkey, "valkey", (8, 1, 0))

    def test_the_path_of_the_environment_is_the_default(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        binary = program(tmp_path, "valkey-server", "Valkey server v=8.1.0 sha=00000000:0")
        monkeypatch.setenv("PATH", str(tmp_path))
        assert discover(()).binary == binary

    def test_one_that_is_too_old_is_passed_over(self, tmp_path: Path) -> None:
        program(tmp_path, "valkey-server", "Valkey server v=6.9.9 sha=0")
        redis = program(tmp_path, "redis-server", "Redis server v=7.0.0 sha=0")
        assert discover((), str(tmp_path)).binary == redis

    def test_the_message_names_what_was_tried_and_what_to_do(self, tmp_path: Path) -> None:
        program(tmp_path, "redis-server", "Redis server v=6.2.14 sha=0")
        program(tmp_path, "valkey-server", "illegal instruction", status=1)
        with pytest.raises(ConfigurationError) as caught:
            discover(("no_such_package",), str(tmp_path))
        message = str(caught.value)
        assert "the package no_such_package: not found" in message
        assert f"{tmp_path}/redis-server is Redis 6.2.14, too old" in message
        assert f"{tmp_path}/valkey-server does not run here" in message
        assert "cachekeeper[app]" in message
        assert "CACHEKEEPER_BROKER_URL" in message


@pytest.mark.parametrize(
    ("flavour", "version", "folder"),
    [("valkey", (9, 1, 2), "valkey-9"), ("redis", (7, 0, 15), "redis-7")],
)
def test_each_engine_and_major_version_has_its_own_folder(
    tmp_path: Path, flavour: str, version: tuple[int, ...], folder: str
) -> None:
    server = EmbeddedServer(tmp_path, engine=Engine(Path("/bin/true"), flavour, version))
    assert server.data == tmp_path / folder


def test_any_path_is_one_word_of_the_configuration() -> None:
    assert quoted(Path("/a-b_c/d.sock")) == '"/a-b_c/d.sock"'
    assert quoted(Path('/"x y"\n')) == r'"/\x22x\x20y\x22\x0a"'
    assert quoted(Path("/é")) == r'"/\xc3\xa9"'


class TestSocketPath:
    def test_it_lies_in_the_folder(self) -> None:
        assert socket_path(Path("/short"), "s") == Path("/short/s")

    @pytest.fixture
    def short(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
        """A temporary folder whose own name leaves room for a socket's."""
        with tempfile.TemporaryDirectory(prefix="ck-", dir="/tmp") as folder:
            monkeypatch.setattr("tempfile.tempdir", folder)
            yield Path(folder)

    def test_a_deep_folder_gets_a_short_private_path(self, short: Path) -> None:
        deep = short / ("x" * SUN_PATH)
        path = socket_path(deep, "s")
        assert path.parent.parent == short
        assert path.parent.stat().st_mode & 0o777 == 0o700
        assert socket_path(deep, "s") == path, "the successor of a killed owner takes it over"
        assert socket_path(deep / "other", "s") != path

    def test_a_folder_that_others_can_enter_is_refused(self, short: Path) -> None:
        deep = short / ("x" * SUN_PATH)
        socket_path(deep, "s").parent.chmod(0o755)
        with pytest.raises(ConfigurationError, match="not a private folder"):
            socket_path(deep, "s")


class TestGroups:
    def test_ps_and_proc_agree(self) -> None:
        listing = "    1     1 Ss   Thu Nov 20 10:00:00 2025\n  7 1 Z+ Thu Nov 20 10:00:01 2025\n"
        assert dict(guardian.from_ps(listing)) == {1: Living(1, "Thu Nov 20 10:00:00 2025")}
        assert guardian.living()[os.getpid()].group == os.getpgrp()

    def test_a_later_process_with_the_same_pid_is_somebody_else(self) -> None:
        group = Group(leader=10, began="100")
        assert group.alive({10: Living(10, "100")})
        assert not group.alive({10: Living(10, "200")})

    def test_a_group_outlives_its_leader(self) -> None:
        assert Group(leader=10, began="100").alive({11: Living(10, "101")})
        assert not Group(leader=10, began="100").alive({11: Living(11, "101")})


class TestLog:
    def test_it_gives_whole_lines_without_colours(self, tmp_path: Path) -> None:
        log = Log(tmp_path / "x.log")
        with log.open() as writer:
            writer.write(b"\x1b[31mone\x1b[0m\n\ntw")
            writer.flush()
            assert list(log.lines()) == ["one"]
            writer.write(b"o\r\n")
            writer.flush()
            assert list(log.lines()) == ["two"]
        assert list(log.last) == ["one", "two"]
        log.close()

    def test_it_is_begun_anew_before_it_fills_the_disk(self, tmp_path: Path) -> None:
        log = Log(tmp_path / "x.log", limit=100)
        with log.open() as writer:
            for number in range(100):
                writer.write(b"line %d\n" % number)
                writer.flush()
                assert list(log.lines()) == [f"line {number}"]
        log.close()
        assert (tmp_path / "x.log").stat().st_size <= 110
        assert (tmp_path / "x.log.1").stat().st_size <= 110
        assert sorted(path.name for path in tmp_path.iterdir()) == ["x.log", "x.log.1"]


class TestState:
    def test_it_is_private(self, tmp_path: Path) -> None:
        state = State(tmp_path / "deep" / "state")
        state.create()
        for folder in (state.folder, state.blobs, state.logs):
            assert folder.stat().st_mode & 0o777 == 0o700

    def test_a_file_in_its_place_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "state").touch()
        with pytest.raises(ConfigurationError, match="can't be used"):
            State(tmp_path / "state").create()

    def test_one_at_a_time(self, tmp_path: Path) -> None:
        state = State(tmp_path)
        assert not state.taken()
        lock = state.take()
        assert lock is not None
        assert state.taken()
        assert state.take() is None
        lock.close()
        assert not state.taken()

    def test_nothing_runs_where_nothing_was_started(self, tmp_path: Path) -> None:
        assert read_running(tmp_path / "none") is None
        assert not (tmp_path / "none").exists()
