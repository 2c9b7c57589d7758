"""What devices have read before a test begins."""

from __future__ import annotations

import time
import uuid

from cachekeeper.client.cache import Cache

EVERYBODY = 30  # as many as make something likely


def follow(cache: Cache, *paths: str, at: float | None = None, devices: int = 1) -> None:
    """Have the predictor learn that devices read files one after another."""
    when = time.time() if at is None else at
    for _ in range(devices):
        device = f"tv-{uuid.uuid4().hex}"
        for each in paths:
            cache.stores.predictor.observe(device, each, when, threshold=1, limit=0)
