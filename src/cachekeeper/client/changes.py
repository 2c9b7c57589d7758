"""The changes of an origin, for whoever tells them, finds them or looks after that."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace

from cachekeeper.client.cache import Cache
from cachekeeper.client.identity import this_process
from cachekeeper.client.stores import server_urls
from cachekeeper.core.ports.changes import Pass, Watching
from cachekeeper.core.ports.origins import Origin
from cachekeeper.core.request import make_request
from cachekeeper.core.strategy import Consistency, Strategy
from cachekeeper.errors import ConfigurationError, InvalidInput
from cachekeeper.names import Task
from cachekeeper.services.changes import ChangeReporter
from cachekeeper.services.reconcile import Reconciler
from cachekeeper.services.watch import Watcher
from cachekeeper.settings import Settings
from cachekeeper.store.redis.connection import Connection
from cachekeeper.store.redis.sweeps import RedisSweeps
from cachekeeper.store.redis.watchers import RedisWatchers

#: Of a request for a sweep: by then beat, or the watcher, has asked again.
EXPIRES_S = 600.0
#: What is kept of an origin in any deployment.
NAMESPACES = ("file", "folder")


@dataclass(frozen=True, slots=True)
class ChangeDesk:
    """What can be done about the changes of a deployment's origin."""

    cache: Cache

    def reporter(self) -> ChangeReporter:
        """What has changes invalidated. Raises ConfigurationError: there is no origin."""
        known = self.cache.stores.known
        return ChangeReporter(origin=self._origin(), known=known, submit=self.submit)

    def reconciler(self) -> Reconciler:
        """The sweep that finds what nobody told. Raises ConfigurationError: there is no origin."""
        return Reconciler(
            origin=self._origin(),
            known=self.cache.stores.known,
            sweeps=self.cache.stores.sweeps,
            submit=self.submit,
            forget_all=self._forget_all,
            believed_after_s=self.cache.settings.reconcile_s / 2,
            now=time.time,
        )

    def watcher(self) -> Watcher:
        """What follows the origin. Raises ConfigurationError: there is none."""
        return Watcher(
            origin=self._origin(),
            reporter=self.reporter(),
            sweep=self.sweep,
            watchers=self.cache.stores.watchers,
            by=this_process(),
        )

    def sweep(self) -> None:
        """Have a worker sweep through the origin, from its beginning.

        Raises:
            BrokerUnavailable: nothing was asked for.
        """
        self.cache.broker.send(Task.RECONCILE, {"anew": True}, expires_s=EXPIRES_S)

    def accept(self) -> None:
        """Believe what is held back, with the next sweep. Raises CacheUnavailable."""
        self.cache.stores.sweeps.accept()

    def swept(self) -> Pass:
        """How far the sweep is, or how it ended. Raises CacheUnavailable."""
        return self.cache.stores.sweeps.state()

    def watched(self) -> list[Watching]:
        """The watchers that were heard of lately. Raises CacheUnavailable."""
        return self.cache.stores.watchers.heard(time.time())

    def submit(self, keys: Sequence[str], *, reason: str, by: str = "", id: str = "") -> None:
        """Ask for the invalidation of keys.

        Strict: whoever saves a file expects that it is seen everywhere, and a node that can't be
        reached to be fenced. Kept in the cache server until it is done, as what is known of the
        origin is, so that neither is lost without the other: the message is but a bell.
        """
        self._ask(id, reason, by, keys=tuple(keys))

    def _forget_all(self, reason: str) -> None:
        self._ask("", reason, "", namespaces=NAMESPACES)

    def _ask(self, id: str, reason: str, by: str, **names: tuple[str, ...]) -> None:
        if not any(names.values()):
            return
        request = make_request(
            id=id or uuid.uuid4().hex,
            at=time.time(),
            strategy=Strategy.IMMEDIATE,
            consistency=Consistency.STRICT,
            reason=reason,
            by=by or this_process(),
            **names,
        )
        try:
            self.cache.submit(request)
        except InvalidInput:  # a report done again, which found something else to be told
            self.cache.submit(replace(request, id=uuid.uuid4().hex))

    def _origin(self) -> Origin:
        if self.cache.origin is None:
            raise ConfigurationError("origin: none is set (CACHEKEEPER_ORIGIN)")
        return self.cache.origin


def changes_of_origin(settings: Settings) -> tuple[list[Watching], Pass]:
    """The watchers of a deployment's origin and its sweep, over a connection of their own.

    Raises:
        ConfigurationError: there is no server.
        CacheUnavailable: it can't be reached.
    """
    cache_url, _ = server_urls(settings)
    connection = Connection(cache_url, settings.deployment)
    try:
        return RedisWatchers(connection).heard(time.time()), RedisSweeps(connection).state()
    finally:
        connection.close()
