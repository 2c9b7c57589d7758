"""The servers' configuration in deploy/ starts a real server, which then does what it says."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from redis import Redis
from redis.backoff import ConstantBackoff
from redis.exceptions import ConnectionError as NotYet
from redis.retry import Retry

from cachekeeper.local.engine import discover

DEPLOY = Path(__file__).parents[2] / "deploy"


@pytest.mark.parametrize(
    ("name", "policy"),
    [("redis-broker.conf", "noeviction"), ("redis-cache.conf", "volatile-lfu")],
)
def test_a_server_runs_with_it(name: str, policy: str, tmp_path: Path) -> None:
    socket = tmp_path / "socket"
    where = ["--port", "0", "--unixsocket", str(socket), "--dir", str(tmp_path)]
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen([discover().binary, DEPLOY / name, *where], stdout=log)
    try:
        until_up = Retry(ConstantBackoff(0.02), retries=250, supported_errors=(NotYet,))
        with Redis(unix_socket_path=str(socket), decode_responses=True, retry=until_up) as redis:
            config = redis.config_get("maxmemory-policy", "appendonly", "appendfsync", "save")
        assert config == {
            "maxmemory-policy": policy,
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
        }
    finally:
        server.terminate()
        server.wait(10)
