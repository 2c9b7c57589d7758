"""Warming: a bell for one more runner of a job."""

from __future__ import annotations

from typing import Any

from celery import Task, shared_task

from cachekeeper.core.warming import check_job
from cachekeeper.errors import CacheUnavailable, OriginUnavailable, PermanentError
from cachekeeper.names import Task as Name
from tasks.base import again, bury, check_fields, hand_back, services

RETRIES = 5  # of an origin that is away: half a minute


@shared_task(bind=True, name=Name.WARM)
def warm_files(task: Task, *values: Any, **fields: Any) -> dict[str, Any]:
    """Fetch some of the files of a ``job``."""
    try:
        check_fields(values, fields, ("job",))
        return _run(task, check_job(fields.get("job", ""), "job"), fields)
    except CacheUnavailable as error:
        hand_back(error)
    except PermanentError as error:
        bury(task, fields, error)


def _run(task: Task, job: str, fields: dict[str, Any]) -> dict[str, Any]:
    warmer = services(task).warmer
    try:
        return {"state": warmer.run(job)}
    except OriginUnavailable as error:
        again(task, error, fields, retries=RETRIES)
        warmer.stop(job, f"the origin is away: {error}")
        return {"state": "stopped"}
