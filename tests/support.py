"""What tests of every kind share: waiting for a condition, and deployments nobody else uses."""

from __future__ import annotations

import socket
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import redis

from cachekeeper.settings import Settings
from cachekeeper.store.redis.layout import Layout

Seen = TypeVar("Seen")

FOR_EVER = -1  # what TTL says of a key without expiry


def wait_until(condition: Callable[[], Seen | None], seconds: float = 15) -> Seen:
    """Wait until ``condition`` gives something true, and return that; fail after ``seconds``."""
    end = time.monotonic() + seconds
    while not (seen := condition()):
        assert time.monotonic() < end, f"not within {seconds:g} s: {condition}"
        time.sleep(0.01)
    return seen


def unused_port() -> int:
    """A port of loopback that was free a moment ago, and is far from the defaults."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def fresh_deployment(url: str) -> Iterator[str]:
    """The name of a deployment on a server; afterwards its keys expire, or are meant to stay.

    So tests share a server without seeing each other, and nothing is ever flushed.
    """
    name = f"test-{uuid.uuid4().hex[:12]}"
    yield name
    with redis.Redis.from_url(url) as client:
        misplaced = misplaced_keys(client, name)
        assert not misplaced, "; ".join(misplaced)


def misplaced_keys(client: redis.Redis, deployment: str) -> list[str]:
    """Keys that would live for ever by mistake, and keys that must not expire but would.

    The first fill the server one by one; the second may be evicted by a ``volatile`` policy.
    """
    layout = Layout(deployment)
    found = sorted(raw.decode() for raw in client.scan_iter(match=f"{layout.prefix}*", count=1000))
    with client.pipeline(transaction=False) as pipe:
        for key in found:
            pipe.ttl(key)
        lifetimes = dict(zip(found, pipe.execute(), strict=True))
    # One that went in between (-2) is no leak.
    leaked = [k for k, ttl in lifetimes.items() if ttl == FOR_EVER and not layout.is_truth(k)]
    volatile = [k for k, ttl in lifetimes.items() if ttl >= 0 and layout.is_truth(k)]
    return [f"{key} never expires" for key in leaked] + [f"{key} expires" for key in volatile]


def but(settings: Settings, **other: object) -> Settings:
    """The same settings but for some."""
    return settings.model_copy(update=other)
