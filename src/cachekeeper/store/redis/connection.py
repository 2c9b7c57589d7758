"""A connection to the cache server, with our scripts and the key layout of one deployment."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.resources import files
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from cachekeeper.errors import CacheUnavailable
from cachekeeper.store.redis.layout import Layout

Arg = str | bytes | int | float


@cache
def source(name: str) -> str:
    """The text of ``lua/<name>.lua``."""
    return (files(__package__) / "lua" / f"{name}.lua").read_text()


class Connection:
    """The server of one deployment: a pool of sockets, safe to share between threads."""

    def __init__(self, url: str, deployment: str, *, timeout_s: float = 2.0) -> None:
        self.url, self.layout = url, Layout(deployment)
        # Any: redis-py types every reply as bytes or str, whatever the connection decodes; here
        # all replies are bytes, and each adapter returns typed values.
        self.redis: Any = redis.Redis.from_url(
            url,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            retry=Retry(NoBackoff(), 1),  # a restarted server; a dead one is told soon
        )
        self._scripts: dict[str, Any] = {}

    def run(self, script: str, keys: list[str], args: list[Arg], pipe: Any = None) -> Any:
        """Run a script by name, in ``pipe`` if one is given.

        Raises:
            CacheUnavailable: the server can't be reached.
        """
        registered = self._scripts.get(script)
        if registered is None:
            registered = self._scripts[script] = self.redis.register_script(source(script))
        if pipe is not None:
            return registered(keys=keys, args=args, client=pipe)
        with reachable():
            return registered(keys=keys, args=args)

    def close(self) -> None:
        """Close all sockets."""
        self.redis.close()


@contextmanager
def reachable() -> Iterator[None]:
    """Turn the client library's connection errors into ours.

    Raises:
        CacheUnavailable: the server can't be reached.
    """
    try:
        yield
    except (redis.ConnectionError, redis.TimeoutError) as error:
        raise CacheUnavailable(f"cache server: {error}") from error
