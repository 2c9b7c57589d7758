"""How much waits, for whoever watches it: workers and the command line."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from cachekeeper.client.stores import server_urls
from cachekeeper.services.queues import QueueWatch
from cachekeeper.settings import Settings
from cachekeeper.store.redis.broker_queues import open_queues
from cachekeeper.store.redis.connection import Connection
from cachekeeper.store.redis.records import RedisPending


@contextmanager
def queue_watch(settings: Settings) -> Iterator[QueueWatch]:
    """The queues and pending sets of a deployment, over connections of their own.

    Raises:
        ConfigurationError: there is no server.
    """
    cache_url, broker_url = server_urls(settings)
    connection, queues = Connection(cache_url, settings.deployment), open_queues(broker_url)
    try:
        yield QueueWatch(queues, RedisPending(connection, settings.record_s), time.time)
    finally:
        connection.close()
        if queues:
            queues.close()
