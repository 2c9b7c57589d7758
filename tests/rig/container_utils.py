"""Takes the place of pytest-celery's ``utils`` in a worker: only the worker's own processes.

It is copied into the worker's volume and imported there, so it stands alone.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence

import psutil

COLUMNS = ("pid", "name", "username", "cmdline", "cpu_percent", "memory_percent", "create_time")


def get_running_processes_info(columns: Sequence[str] | None = None) -> str:
    """The processes of the session that ``ProcessContainer.exec_run`` names, as JSON."""
    session = int(os.environ["CONTAINER_SESSION"])
    found = psutil.process_iter(list(columns or COLUMNS))
    return json.dumps([process.info for process in found if _session(process.pid) == session])


def _session(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except ProcessLookupError:  # it has ended since it was listed
        return None
