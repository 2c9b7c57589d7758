"""Prefetch: plan after an access, fetch what was planned; what was learnt long ago is forgotten."""

from __future__ import annotations

import time
from typing import Any

from celery import Task, shared_task

from cachekeeper.core.prefetching import Ticket
from cachekeeper.core.stamps import Moment
from cachekeeper.errors import Busy, CacheUnavailable, InvalidInput, PermanentError, RetryableError
from cachekeeper.names import Task as Name
from tasks.base import again, bury, check_fields, done, hand_back, services

RETRIES = 10  # within the time that a prediction is of use
PLAN = ("device", "paths", "at", "until")
FETCH = ("device", "path", "token", "origin", "incarnation", "epoch", "probability", "until")


@shared_task(bind=True, name=Name.PLAN)
def plan_access(task: Task, *values: Any, **fields: Any) -> dict[str, Any]:
    """Learn that a ``device`` read ``paths``, and ask for what it is likely to read next."""
    try:
        check_fields(values, fields, PLAN)
        given = {"device": "", "paths": [], "at": time.time(), **fields}
        return {"planned": services(task).planner.plan(**given)}
    except CacheUnavailable as error:
        hand_back(error)
    except PermanentError as error:
        bury(task, fields, error)


@shared_task(bind=True, name=Name.PREFETCH)
def fetch_file(task: Task, *values: Any, **fields: Any) -> dict[str, Any]:
    """Fetch a file that was planned for a device."""
    try:
        check_fields(values, fields, FETCH)
        ticket = _ticket(fields)
        prefetcher = services(task).prefetcher
        probability, until = fields.get("probability", 0), fields.get("until", 0)
        fetched = prefetcher.fetch(ticket, probability, until)
        if fetched.again:
            again(task, Busy(f"{ticket.path}: {fetched.why}"), fields, retries=RETRIES)
            prefetcher.give_up(ticket, fetched.why)
        return {"bytes": fetched.bytes, "why": fetched.why}
    except CacheUnavailable as error:
        hand_back(error)
    except PermanentError as error:
        bury(task, fields, error)
    except RetryableError as error:  # a prediction may be dropped at any time
        return {"bytes": 0, "why": str(error)}


def _ticket(fields: dict[str, Any]) -> Ticket:
    texts = {name: fields.get(name, "") for name in ("device", "path", "token", "origin")}
    for name, value in texts.items():
        if not isinstance(value, str) or len(value) > 600:
            raise InvalidInput(name, value, "a text")
    planned = [fields.get(name, -1) for name in ("incarnation", "epoch")]
    for name, value in zip(("incarnation", "epoch"), planned, strict=True):
        if not isinstance(value, int) or value < 0:
            raise InvalidInput(name, value, "a whole number, as the plan gives it")
    return Ticket(**texts, planned=Moment(*planned))


@shared_task(bind=True, name=Name.DECAY_MODEL)
def decay_model(task: Task) -> dict[str, float]:
    """Forget what was learnt of files that were not read for long."""
    wired = services(task)
    before = time.time() - wired.settings.model_forget_s
    return done(task, {"forgotten": wired.cache.stores.predictor.forget(before)})
