"""Reports: records trimmed, and the sign that the schedule is alive."""

from __future__ import annotations

from celery import Task, shared_task

from cachekeeper.names import Task as Name
from tasks.base import done, services


@shared_task(bind=True, name=Name.TRIM_RECORDS)
def trim_records(task: Task) -> dict[str, float]:
    """Trim records and marks that are too old to matter."""
    return done(task, services(task).recovery.trim())


@shared_task(bind=True, name=Name.HEARTBEAT)
def record_heartbeat(task: Task) -> dict[str, float]:
    """A tick of beat went through a worker: the record says when, and what waited where."""
    return done(task, services(task).queue_figures())
