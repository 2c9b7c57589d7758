"""What happens when a worker starts and stops."""

from __future__ import annotations

import logging
import signal
import sys
import time
from types import ModuleType
from typing import Any

from celery.exceptions import WorkerShutdown
from celery.signals import before_task_publish, celeryd_init, setup_logging, worker_process_init

from cachekeeper.client.stores import server_urls
from cachekeeper.errors import CachekeeperError
from cachekeeper.names import SENT
from cachekeeper.settings import load
from cachekeeper.store.redis.connection import meet
from workers.checks import assigned_names, check_names, check_queues, check_server

LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
REFUSED = 1


def connect(config: ModuleType) -> None:
    """Have workers check themselves, and ``config``, before they serve; and beat date its ticks.

    A process of a pool that is told to stop ends by SystemExit, so that what it has claimed can be
    handed back on the way; Celery has the signal end it where it stands.
    """

    @worker_process_init.connect(weak=False)
    def end_in_order(**_: Any) -> None:
        signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))

    @before_task_publish.connect(weak=False)
    def date(headers: dict[str, Any] | None = None, **_: Any) -> None:
        if headers is not None:
            headers.setdefault(SENT, time.time())

    @setup_logging.connect(weak=False)
    def log(loglevel: int = logging.INFO, **_: Any) -> None:
        logging.basicConfig(level=loglevel, format=LOG_FORMAT, stream=sys.stderr, force=True)

    @celeryd_init.connect(weak=False)
    def check(options: dict[str, Any] | None = None, **_: Any) -> None:
        try:
            check_names(assigned_names(config))
            check_queues(_queues(options or {}))
            cache_url, broker_url = server_urls(load())
            check_server(broker_url, "broker")
            check_server(cache_url, "cache")
            # Known to this process, an incarnation is known to the children that it forks: they
            # need not wait for a grace that has passed long ago.
            meet(cache_url, load().deployment)
        except CachekeeperError as error:
            # Any other exception here is logged by Celery, which then starts all the same.
            print(f"cachekeeper: refused to start: {error}", file=sys.stderr, flush=True)
            raise WorkerShutdown(REFUSED) from None


def _queues(options: dict[str, Any]) -> list[str]:
    queues = options.get("queues") or []
    return queues.split(",") if isinstance(queues, str) else list(queues)
