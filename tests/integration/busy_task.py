"""A task that keeps a core busy for a while, and notes which queue it came from."""

from __future__ import annotations

import time
from pathlib import Path

from celery import Task, shared_task

NAME = "tests.busy"
LASTS_S = 0.01


@shared_task(bind=True, name=NAME)
def busy(task: Task, diary: str) -> None:
    """Work, then add the name of the queue to the file ``diary``."""
    end = time.process_time() + LASTS_S
    while time.process_time() < end:
        pass
    with Path(diary).open("a") as notes:
        notes.write(f"{task.request.delivery_info['routing_key']}\n")
