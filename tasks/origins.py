"""Origins: changes that somebody tells, and the sweep that finds those that nobody told."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from celery import Task, shared_task

from cachekeeper.core.keys import check_path
from cachekeeper.core.request import MAX_BY, MAX_REASON, check_id, check_text
from cachekeeper.errors import (
    BrokerUnavailable,
    CacheUnavailable,
    InvalidInput,
    PermanentError,
    RetryableError,
)
from cachekeeper.names import Task as Name
from cachekeeper.services.changes import changes_of
from tasks.base import again, bury, check_fields, done, hand_back, sent_by, services

PATHS_AT_MOST = 1000
REPORT = ("paths", "reason", "by", "id")
RECONCILE = ("anew", "goes_on")
RETRIES = 3
#: What is left of a sweep is taken up by the next tick if nobody did so by then.
GOES_ON_S = 300.0


@shared_task(bind=True, name=Name.REPORT_CHANGES)
def report_changes(task: Task, *values: Any, **fields: Any) -> dict[str, int]:
    """Invalidate ``paths`` of the origin that changed, came or went; folders with all in them."""
    try:
        return _reported(task, values, fields)
    except CacheUnavailable as error:
        hand_back(error)


@shared_task(bind=True, name=Name.RECONCILE)
def reconcile_versions(task: Task, *values: Any, **fields: Any) -> dict[str, float]:
    """Do one turn of the sweep through the origin, and have the next one done."""
    try:
        check_fields(values, fields, RECONCILE)
        flags = {name: _flag(name, fields.get(name, False)) for name in RECONCILE}
    except InvalidInput as error:
        bury(task, fields, error)
    if services(task).cache.origin is None:
        return done(task, {})
    turn = services(task).reconciler.run(begin=not flags["goes_on"], anew=flags["anew"])
    if turn.more:
        with suppress(BrokerUnavailable):  # the next tick goes on
            broker = services(task).cache.broker
            broker.send(Name.RECONCILE, {"goes_on": True}, expires_s=GOES_ON_S)
        return done(task, {})
    state, ended = turn.state, turn.ran and not turn.state.error
    found = {"changed": state.changed, "new": state.new, "gone": state.gone} if ended else {}
    return done(task, found)


def _reported(task: Task, values: tuple[Any, ...], fields: dict[str, Any]) -> dict[str, int]:
    try:
        check_fields(values, fields, REPORT)
        paths = _paths(fields.get("paths"))
        reason = check_text("reason", fields.get("reason", "reported"), MAX_REASON)
        by = check_text("by", fields.get("by", sent_by(task)), MAX_BY)
        id = check_id(fields.get("id", task.request.id))
        report = services(task).change_reporter.report
        found = report(changes_of(paths), reason=reason, by=by, id=id)
    except CacheUnavailable:
        raise
    except PermanentError as error:
        bury(task, fields, error)
    except RetryableError as error:
        again(task, error, fields, retries=RETRIES)
        bury(task, fields, error)
    return {"keys": found.keys, "requests": found.requests}


def _paths(given: object) -> list[str]:
    if not isinstance(given, list) or not 1 <= len(given) <= PATHS_AT_MOST:
        raise InvalidInput("paths", given, f"a list of 1 to {PATHS_AT_MOST} paths")
    return [check_path(path, f"paths[{place}]") for place, path in enumerate(given)]


def _flag(field: str, given: object) -> bool:
    if not isinstance(given, bool):
        raise InvalidInput(field, given, "true or false")
    return given
