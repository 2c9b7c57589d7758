"""Expiry: what has lived its time goes."""

from __future__ import annotations

from celery import Task, shared_task

from cachekeeper.names import Task as Name
from tasks.base import done, services


@shared_task(bind=True, name=Name.SWEEP_EXPIRED)
def sweep_expired(task: Task) -> dict[str, float]:
    """Remove expired entries from every shared tier, the index, the graph and the devices."""
    return done(task, services(task).expiry_sweep.run())
