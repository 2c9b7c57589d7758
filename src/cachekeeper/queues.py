"""The queues as kombu declares them; producers and workers share this declaration."""

from __future__ import annotations

from kombu import Exchange
from kombu import Queue as KombuQueue

from cachekeeper.names import QUEUES

EXCHANGE = Exchange("cachekeeper", type="direct", durable=True)


def declared_queues() -> list[KombuQueue]:
    """Every queue, durable, bound to one direct exchange by its own name."""
    return [KombuQueue(name, EXCHANGE, routing_key=name, durable=True) for name in QUEUES]
