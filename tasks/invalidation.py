"""Invalidation: requests, the flushes of strategies that wait, the lazy sweep."""

from __future__ import annotations

import dataclasses
import time
from typing import Any

from celery import Task, shared_task

from cachekeeper.core.receipt import Receipt
from cachekeeper.core.request import Request, check_ids, make_request
from cachekeeper.core.strategy import CONSISTENCIES, STRATEGIES, Strategy
from cachekeeper.errors import CacheUnavailable, InvalidInput
from cachekeeper.names import Task as Name
from tasks.base import again, bury, check_fields, done, hand_back, sent_by, services, tried

SHOWN = 5
BULK_BATCH = 1  # they are large: other processes may take the next ones


@shared_task(bind=True, name=Name.INVALIDATE)
def invalidate_request(task: Task, *values: Any, **fields: Any) -> dict[str, Any]:
    """Invalidate what a request names; its fields are those of ``core.request.Request``."""
    try:
        return _invalidate(task, values, fields)
    except CacheUnavailable as error:  # nothing can be done or recorded: it is not to be lost
        hand_back(error)


@shared_task(bind=True, name=Name.FLUSH_SCHEDULED)
def flush_scheduled(task: Task) -> dict[str, Any]:
    """Invalidate what waits under the scheduled strategy."""
    batch = services(task).settings.scheduled_batch
    return _flushed(task, services(task).flusher.flush(Strategy.SCHEDULED, batch))


@shared_task(bind=True, name=Name.FLUSH_BACKGROUND)
def flush_background(task: Task) -> dict[str, Any]:
    """Invalidate what waits under the background strategy."""
    batch = services(task).settings.background_batch
    return _flushed(task, services(task).flusher.flush(Strategy.BACKGROUND, batch))


@shared_task(bind=True, name=Name.FLUSH_BULK)
def flush_bulk(task: Task) -> dict[str, Any]:
    """Invalidate what was too much for a message."""
    flush = services(task).flusher.flush
    found = [flush(strategy, BULK_BATCH) for strategy in (Strategy.IMMEDIATE, Strategy.LAZY)]
    return _flushed(task, [receipt for batch in found for receipt in batch])


@shared_task(bind=True, name=Name.FIRE_PREPARED)
def fire_prepared(task: Task) -> dict[str, float]:
    """Send what units of work prepared, and did not send or cancel before their deadline."""
    return done(task, services(task).prepared_sweep.run())


@shared_task(bind=True, name=Name.PURGE)
def purge_dependents(task: Task, *, requests: list[str]) -> dict[str, int]:
    """Remove the bytes that requests left to the background: hygiene, they are stale already."""
    try:
        return {"affected": services(task).invalidator.finish(check_ids(requests))}
    except InvalidInput as error:
        bury(task, {"requests": requests}, error)
    except CacheUnavailable as error:  # somebody may wait for its end
        hand_back(error)


@shared_task(bind=True, name=Name.SWEEP_LAZY)
def sweep_lazy(task: Task) -> dict[str, float]:
    """Remove the bytes of what was invalidated lazily."""
    return done(task, services(task).lazy_sweep.run())


def _invalidate(task: Task, values: tuple[Any, ...], fields: dict[str, Any]) -> dict[str, Any]:
    given = {"id": task.request.id, "at": time.time(), "by": sent_by(task)} | fields
    try:
        check_fields(values, fields, [field.name for field in dataclasses.fields(Request)])
        request = make_request(**given)
    except InvalidInput as error:
        bury(task, {**fields, "arguments": list(values)} if values else fields, error)
    try:
        # One that failed in its batch has waited, and has a bound to keep.
        if (STRATEGIES[request.strategy].waits or request.is_bulk) and not tried(task):
            return {"waiting": services(task).cache.submit(request)}
        return _brief(services(task).invalidator.run([request]))
    except CacheUnavailable:
        raise
    except InvalidInput as error:  # of its id, whose receipt is another request's
        bury(task, fields, error)
    except Exception as error:  # whatever it was, the request must not vanish
        rule, wire = CONSISTENCIES[request.consistency], request.to_wire()
        again(task, error, wire, retries=rule.retries, within_s=rule.delay_s)
        services(task).invalidator.refuse(request, error)
        bury(task, wire, error)


def _flushed(task: Task, receipts: list[Receipt]) -> dict[str, Any]:
    affected = sum(receipt.affected_count for receipt in receipts)
    done(task, {"requests": len(receipts), "affected": affected})
    return _brief(receipts)


def _brief(receipts: list[Receipt]) -> dict[str, Any]:
    """What a dashboard shows of a batch."""
    affected = [key for receipt in receipts for key in receipt.affected]
    return {
        "requests": len(receipts),
        "affected": sum(receipt.affected_count for receipt in receipts),
        "first": affected[:SHOWN],
        "epoch": max((receipt.epoch for receipt in receipts), default=0),
    }
