"""Dead letters for whoever looks after them: the command line, and tests."""

from __future__ import annotations

from cachekeeper.client.cache import Cache
from cachekeeper.services.dead import DeadLetterOffice
from cachekeeper.store.redis.dead import RedisDeadLetters


def open_dead_letters(cache: Cache) -> DeadLetterOffice:
    """The dead letters of the cache's deployment."""
    return DeadLetterOffice(
        letters=RedisDeadLetters(cache.stores.connection),
        receipts=cache.stores.receipts,
        sender=cache.broker,
    )
