"""Sending tasks to the workers by name."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from celery import Celery
from kombu.exceptions import OperationalError

from cachekeeper.core.due import Attempt
from cachekeeper.errors import BrokerUnavailable
from cachekeeper.names import FIRST_FAILED, ROUTES, SENT, Queue
from cachekeeper.queues import declared_queues

#: A producer is told soon that nothing was enqueued; it decides what to do.
RETRY = {"max_retries": 2, "interval_start": 0.05, "interval_step": 0.2, "interval_max": 0.5}

SHOWN = 1024  # characters


class Broker:
    """A producer's side of the broker."""

    def __init__(self, url: str) -> None:
        self._url, self._app = url, _application(url)

    def send(
        self,
        task: str,
        arguments: Mapping[str, object],
        *,
        queue: str | None = None,
        expires_s: float | None = None,
        attempt: Attempt | None = None,
    ) -> str:
        """Enqueue a task, which is dropped if it has not begun ``expires_s`` from now.

        ``attempt`` is for a task that was sent before. Returns its id.

        Raises:
            BrokerUnavailable: nothing was enqueued.
        """
        given = {
            "kwargs": dict(arguments),
            "queue": queue or ROUTES[task],
            "expires": expires_s,
            "ignore_result": True,
            **_told(attempt),
            "retry": True,
            "retry_policy": RETRY,
            # What dashboards show. Celery can write down any object, and takes as long for it as
            # for sending; ours are JSON.
            "argsrepr": "()",
            "kwargsrepr": repr(dict(arguments))[:SHOWN],
        }
        try:
            try:
                return str(self._app.send_task(task, **given).id)
            except AttributeError as error:
                if not _is_left_over(error):
                    raise
                self._app = _application(self._url)  # the old one may be in use by another thread
                return str(self._app.send_task(task, **given).id)
        except OperationalError as error:
            raise BrokerUnavailable(f"broker: {error}") from error

    def close(self) -> None:
        """Close the connections."""
        self._app.close()


def _application(url: str) -> Celery:
    made = Celery("cachekeeper", broker=url, set_as_current=False)
    made.conf.update(
        task_queues=declared_queues(),
        task_default_queue=Queue.MAINTENANCE,
        task_create_missing_queues=False,
        task_serializer="json",
        accept_content=["json"],
        task_ignore_result=True,
        broker_transport_options={"socket_connect_timeout": 2, "socket_timeout": 5},
    )
    return made


def _is_left_over(error: AttributeError) -> bool:
    """Whether kombu used a channel whose connection broke and is gone; nothing was sent.

    It keeps such a channel with its connection: only another connection helps.
    """
    return error.obj is None


def _told(attempt: Attempt | None) -> dict[str, Any]:
    """What the message says of itself."""
    headers = {SENT: time.time()}
    if attempt is None:
        return {"headers": headers}
    if attempt.first_failed is not None:
        headers[FIRST_FAILED] = attempt.first_failed
    return {"task_id": attempt.id, "retries": attempt.retries, "headers": headers}
