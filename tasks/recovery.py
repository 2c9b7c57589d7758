"""Recovery: nothing stalls when a worker dies."""

from __future__ import annotations

from celery import Task, shared_task

from cachekeeper.names import Task as Name
from tasks.base import done, services


@shared_task(bind=True, name=Name.DISPATCH_DUE)
def dispatch_due(task: Task) -> dict[str, float]:
    """Send the retries whose time has come."""
    return done(task, services(task).due_sweep.run())


@shared_task(bind=True, name=Name.RECOVER_BATCHES)
def requeue_batches(task: Task) -> dict[str, float]:
    """Requeue claimed batches whose deadline has passed, and wake warm jobs."""
    return done(task, {**services(task).recovery.requeue(), **services(task).warm_sweep()})


@shared_task(bind=True, name=Name.CLEAN_PENDING)
def clean_pending(task: Task) -> dict[str, float]:
    """Forget requests that belong to no set, and nodes that are gone."""
    return done(task, services(task).recovery.clean())
