"""Put back what workers that were killed had taken from the broker and not finished.

The Redis transport keeps a delivered message beside its queue until it is acknowledged,
and gives it to another worker only after the visibility timeout, a quarter of an hour. When
the embedded server has just been started no worker can be at work on it, so everything that
lies there was cut off and may run again at once.
"""

from __future__ import annotations

import logging

import redis
from kombu import Connection
from kombu.transport.redis import Channel

from cachekeeper.queues import declared_queues

logger = logging.getLogger(__name__)


def restore_unacknowledged(broker_url: str) -> int:
    """Put every unacknowledged message back into its queue; return how many there were.

    Call it only while no worker of this broker runs: what one is at work on would run twice.
    The broker is the embedded server, so the transport is always kombu's for Redis.
    """
    with Connection(broker_url) as connection, connection.channel() as channel:
        for queue in declared_queues():  # a message whose queue is not bound would be dropped
            queue(channel).declare()
        # A worker killed in the middle of such a sweep leaves its mutex for five minutes.
        channel.client.delete(channel.unacked_mutex_key)
        return sum(
            _restore(channel, tag)
            for tag in channel.client.zrange(channel.unacked_index_key, 0, -1)
        )


def _restore(channel: Channel, tag: bytes) -> bool:
    try:
        channel.qos.restore_by_tag(tag)
    except (redis.ConnectionError, redis.TimeoutError):
        raise
    except Exception:  # no message: kombu may raise anything; a worker finds it, and buries it
        logger.warning("not restored: %r", tag)
        return False
    return True
