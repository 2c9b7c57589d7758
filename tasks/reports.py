"""Reports: records trimmed, and the sign that the schedule is alive."""

from __future__ import annotations

import time

from celery import Task, shared_task

from cachekeeper.names import Task as Name
from tasks.base import services


@shared_task(bind=True, name=Name.TRIM_RECORDS)
def trim_records(task: Task) -> dict[str, int]:
    """Trim records and marks that are too old to matter."""
    return services(task).recovery.trim()


@shared_task(bind=True, name=Name.HEARTBEAT)
def record_heartbeat(task: Task) -> float:
    """A tick of beat went through a worker; returns when, seconds since 1970."""
    now = time.time()
    services(task).heartbeat.record(now, task.request.hostname)
    return now
