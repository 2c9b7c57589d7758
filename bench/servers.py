"""A server of the benchmark's own, and caches on it; nothing of the caller's is read or touched."""

from __future__ import annotations

import os
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import redis

from cachekeeper.client.cache import Cache
from cachekeeper.local.network import HOST
from cachekeeper.local.server import EmbeddedServer
from cachekeeper.settings import PREFIX, load

REWRITES: Final = ("aof_rewrite_in_progress", "aof_rewrite_scheduled", "rdb_bgsave_in_progress")


@dataclass(frozen=True, slots=True)
class Bed:
    """A server with the configuration that ships (AOF, synced every second), and a state folder."""

    url: str
    engine: str  # and its allocator, which rounds what an entry takes
    state: Path

    @contextmanager
    def cache(self, **changed: Any) -> Iterator[Cache]:
        """A client with the settings that ship, but for those given."""
        settings = load(state=self.state, cache_url=self.url, broker_url=self.url, **changed)
        with Cache(settings) as opened:
            yield opened

    def settle(self) -> None:
        """Wait until the server rewrites no file any more, so that only what is measured runs."""
        with redis.Redis.from_url(self.url) as client:
            while any(client.info("persistence")[name] for name in REWRITES):
                time.sleep(0.05)  # between two looks

    @contextmanager
    def peer(self) -> Iterator[redis.Redis]:
        """Bare redis-py as its makers ship it, over the same transport as ours."""
        with redis.Redis.from_url(self.url) as client:
            yield client


@contextmanager
def bed() -> Iterator[Bed]:
    """Start a server in a temporary folder; end it and remove the folder."""
    with (
        _without_settings(),
        tempfile.TemporaryDirectory(prefix="cachekeeper-bench-") as folder,
        EmbeddedServer(Path(folder) / "server", port=_unused_port()) as server,
    ):
        with redis.Redis.from_url(server.url) as client:
            engine = f"{server.engine} ({client.info('memory')['mem_allocator']})"
        yield Bed(server.url, engine, Path(folder) / "state")


@contextmanager
def _without_settings() -> Iterator[None]:
    """Forget the caller's deployment: what is measured is what ships."""
    hidden = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith(PREFIX)}
    try:
        yield
    finally:
        os.environ.update(hidden)


def _unused_port() -> int:
    """A port that was free a moment ago, and is far from the defaults."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
