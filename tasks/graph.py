"""The dependency graph: its refresh."""

from __future__ import annotations

from celery import Task, shared_task

from cachekeeper.names import Task as Name
from tasks.base import done, services


@shared_task(bind=True, name=Name.REFRESH_GRAPH)
def refresh_snapshot(task: Task) -> dict[str, float]:
    """Merge changes, drop dead nodes, find cycles, publish figures."""
    return done(task, services(task).graph_refresh.run())
