"""A connection to the cache server, with our scripts and the key layout of one deployment."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

import redis
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError
from redis.retry import Retry

from cachekeeper.errors import CacheFull, CacheUnavailable
from cachekeeper.store.redis.incarnation import Incarnations
from cachekeeper.store.redis.layout import Layout
from cachekeeper.store.redis.line import Line
from cachekeeper.store.redis.sockets import Sockets

Arg = str | bytes | int | float

SENT_AT_ONCE = 50
#: What scripts are made of besides their own file.
PARTS = {
    "bury": ["dead"],
    "bury_claimed": ["dead"],
    "dead_remove": ["dead"],
    "device_abandon": ["device"],
    "device_access": ["device", "policy"],
    "device_adopt": ["device", "policy"],
    "device_changes": ["rows"],
    "device_commit": ["device", "pins", "fresh"],
    "device_entry": ["rows"],
    "device_evict": ["device", "policy"],
    "device_expire": ["device"],
    "device_listing": ["rows"],
    "device_pin": ["device", "pins"],
    "device_release": ["device"],
    "device_remove": ["device", "pins"],
    "device_renew": ["device"],
    "device_reserve": ["device", "policy", "pins"],
    "device_unpin": ["device", "policy", "pins"],
    "extend": ["record", "lives"],
    "fill": ["record", "lives", "link"],
    "link": ["link"],
    "look": ["record"],
    "predict_observe": ["predict", "names", "rates"],
    "prefetch_begin": ["fresh"],
    "prefetch_keep": ["fresh"],
    "prefetch_plan": ["fresh"],
    "prune": ["link", "prune"],
    "read": ["record"],
    "requeue": ["dead"],
    "sweep": ["link", "prune"],
    "sweep_finish": ["sweep"],
    "sweep_take": ["sweep"],
    "warm_give_back": ["warm"],
    "warm_listed": ["warm"],
    "warm_move": ["warm"],
    "warm_take": ["warm"],
    "warm_tell": ["warm"],
}


class Script(NamedTuple):
    """A script as the server knows it."""

    digest: str
    source: str


@cache
def script(name: str) -> Script:
    """``lua/<name>.lua``, after the parts that it shares with others."""
    folder = files(__package__) / "lua"
    parts = [(folder / "parts" / f"{part}.lua").read_text() for part in PARTS.get(name, ())]
    source = "".join([*parts, (folder / f"{name}.lua").read_text()])
    return Script(hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest(), source)


class Connection:
    """The server of one deployment: a pool of sockets, safe to share between threads."""

    def __init__(self, url: str, deployment: str, *, timeout_s: float = 2.0) -> None:
        self.url, self.layout = url, Layout(deployment)
        self.incarnations = Incarnations(self.layout.clock, script("clock").source)
        # Any: redis-py types every reply as bytes or str, whatever the connection decodes; here
        # all replies are bytes, and each adapter returns typed values.
        self.redis: Any = redis.Redis.from_url(
            url,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            retry=Retry(NoBackoff(), 1),  # a restarted server; a dead one is told soon
            redis_connect_func=self.incarnations.check,
        )
        self._sockets = Sockets(self.redis.connection_pool)

    def run(self, name: str, keys: list[str], args: list[Arg]) -> Any:
        """Run a script by its name.

        Raises:
            CacheUnavailable: the server can't be reached.
            CacheFull: it has no room for what the script would write.
        """
        try:
            return self._call(name, keys, args)
        except redis.ResponseError as error:
            if "NOCLOCK" not in str(error):
                raise
        self.redis.connection_pool.disconnect()  # to be greeted anew, and begin anew
        return self._call(name, keys, args)

    def run_all(self, name: str, calls: Sequence[tuple[list[str], list[Arg]]]) -> list[Any]:
        """Run a script several times, each with its own keys and arguments, in one round trip.

        It has to bear being run twice: what did not go through is run again by itself. Raises as
        ``run``.
        """
        if len(calls) == 1:
            return [self.run(name, *calls[0])]
        digest, replies = script(name).digest, []
        try:
            with self.line() as line:
                for start in range(0, len(calls), SENT_AT_ONCE):
                    part = calls[start : start + SENT_AT_ONCE]
                    commands = [("EVALSHA", digest, len(keys), *keys, *args) for keys, args in part]
                    line.send(*commands)
                    replies += [_reply(line) for _ in part]
        except CacheUnavailable:  # a server that was restarted; a dead one is told soon
            replies += [None] * (len(calls) - len(replies))
        return [
            self.run(name, *call) if isinstance(reply, redis.ResponseError | None) else reply
            for call, reply in zip(calls, replies, strict=True)
        ]

    def _call(self, name: str, keys: list[str], args: list[Arg]) -> Any:
        digest, source = script(name)
        try:
            try:
                return self._sockets.ask("EVALSHA", digest, len(keys), *keys, *args)
            except NoScriptError:
                return self._sockets.ask("EVAL", source, len(keys), *keys, *args)
        except redis.OutOfMemoryError as error:
            raise CacheFull(f"cache server: {error}") from error
        except (redis.ConnectionError, redis.TimeoutError) as error:
            raise CacheUnavailable(f"cache server: {error}") from error

    @contextmanager
    def line(self) -> Iterator[Line]:
        """A socket of the pool, for one thread to talk over.

        Raises:
            CacheUnavailable: the server can't be reached, or went away meanwhile.
        """
        pool = self.redis.connection_pool
        with reachable():
            connection = pool.get_connection()
            line = Line(connection)
            try:
                yield line
            finally:
                if line.awaited:  # what is still to come is for nobody
                    connection.disconnect()
                pool.release(connection)

    def close(self) -> None:
        """Close all sockets."""
        self.redis.close()


def _reply(line: Line) -> Any:
    """The next reply, be it an error."""
    try:
        return line.reply()
    except redis.ResponseError as error:
        return error


def meet(url: str, deployment: str) -> None:
    """Connect once, and learn which incarnation there is. Raises CacheUnavailable."""
    connection = Connection(url, deployment)
    with reachable():
        connection.redis.ping()
    connection.close()


@contextmanager
def reachable() -> Iterator[None]:
    """Turn the client library's errors into ours.

    Raises:
        CacheUnavailable: the server can't be reached.
        CacheFull: it has no room for what was to be written.
    """
    try:
        yield
    except redis.OutOfMemoryError as error:
        raise CacheFull(f"cache server: {error}") from error
    except (redis.ConnectionError, redis.TimeoutError) as error:
        raise CacheUnavailable(f"cache server: {error}") from error
