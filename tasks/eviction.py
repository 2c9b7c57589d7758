"""Eviction: every device held to its quota."""

from __future__ import annotations

from celery import Task, shared_task

from cachekeeper.names import Task as Name
from tasks.base import done, services


@shared_task(bind=True, name=Name.SWEEP_DEVICES)
def sweep_devices(task: Task) -> dict[str, float]:
    """Evict down to the low-water mark, settle what crashed, collect blobs nothing names."""
    return done(task, services(task).eviction_sweep.run())
