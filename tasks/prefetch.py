"""Prefetch: the neighbours of a file just read; what was learnt long ago is forgotten."""

from __future__ import annotations

import time
from typing import Any

from celery import Task, shared_task

from cachekeeper.errors import CacheUnavailable, PermanentError, RetryableError
from cachekeeper.names import Task as Name
from cachekeeper.services.prefetch import decay
from tasks.base import again, bury, check_fields, done, hand_back, services

RETRIES = 2


@shared_task(bind=True, name=Name.PREFETCH)
def fetch_neighbours(task: Task, *values: Any, **fields: Any) -> dict[str, Any]:
    """Fetch what a ``device`` is likely to read after ``path``."""
    try:
        return _fetched(task, values, fields)
    except CacheUnavailable as error:
        hand_back(error)


def _fetched(task: Task, values: tuple[Any, ...], fields: dict[str, Any]) -> dict[str, Any]:
    try:
        check_fields(values, fields, ("device", "path"))
        device, path = fields.get("device", ""), fields.get("path", "")
        return {"fetched": services(task).prefetcher.fetch_neighbours(device, path)}
    except CacheUnavailable:
        raise
    except PermanentError as error:
        bury(task, fields, error)
    except RetryableError as error:
        again(task, error, fields, retries=RETRIES)
        return {"fetched": [], "given_up": str(error)}  # a prediction may be dropped


@shared_task(bind=True, name=Name.DECAY_MODEL)
def decay_model(task: Task) -> dict[str, float]:
    """Forget what was learnt of files that were not read for long."""
    wired = services(task)
    before = time.time() - wired.settings.model_forget_s
    return done(task, {"forgotten": decay(wired.cache.stores.predictor, before)})
