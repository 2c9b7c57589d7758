"""What becomes of a message over which a process of the pool died: killed, crashed, out of memory.

Celery gives it back to its queue, and a task that kills its process each time is run for ever.
Ours is sent once more with a count in its header ``lost``, and buried when that is enough. The
count is not Celery's ``retries``: a task whose process was killed has not failed, so its own
retries are all left, and a request that is to wait for its batch still waits. One that passes the
hard limit of time is buried at once: Celery would acknowledge it and say nothing.
"""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from typing import Any, Final

from billiard.einfo import ExceptionInfo, ExceptionWithTraceback
from celery import Task
from celery.exceptions import Reject, Retry, TimeLimitExceeded, WorkerLostError
from celery.worker import state
from celery.worker.request import Request as CeleryRequest

from cachekeeper.core.receipt import Status
from cachekeeper.core.request import make_request
from cachekeeper.errors import InvalidInput
from cachekeeper.names import FIRST_FAILED, LOST
from cachekeeper.names import Task as Name
from tasks.base import bury, lost, sent_by, services
from workers.order import PriorityWithTurns

#: Processes that one message may cost: more than chance, the kernel or an operator take from the
#: same message. Celery may take 5 s to miss a process, so it is over within a minute.
LOST_AT_MOST: Final = 10
#: Properties of a message that are the sender's; the others are made anew for each message.
KEPT: Final = ("correlation_id", "reply_to", "priority")

logger = logging.getLogger(__name__)


class Request(CeleryRequest):
    """A message in the main process of a worker, until its task has ended."""

    def revoked(self) -> bool:
        """Called before the task runs; what has expired meanwhile does not."""
        found = bool(super().revoked())
        order = getattr(self.message.channel, "_queue_cycle", None)
        if found and isinstance(
            order, PriorityWithTurns
        ):  # other brokers have an order of their own
            order.expired(self.message.delivery_info["routing_key"])
        return found

    def on_failure(
        self,
        exc_info: ExceptionInfo,
        send_failed_event: bool = True,
        return_ok: bool = False,
    ) -> None:
        """Called when a task has raised an exception or its process has died."""
        error = exc_info.exception
        if isinstance(error, ExceptionWithTraceback):
            error = error.exc
        if self._has_died(error):
            exc_info = self._once_more_or_bury(error) or exc_info
        super().on_failure(exc_info, send_failed_event, return_ok)

    def on_timeout(self, soft: bool, timeout: float) -> None:
        """Called at both limits of time, in seconds; at the hard one the process is killed."""
        if soft or state.should_terminate:
            super().on_timeout(soft, timeout)
            return
        task = self.task
        task.request_stack.push(self._context)
        try:
            values, fields, _ = self._payload
            _give_up(task, values, fields, TimeLimitExceeded(timeout))
        except Reject:
            super().on_timeout(soft, timeout)
        except Exception:  # whatever it was: it comes again
            logger.exception("too_slow id=%s: not buried", self.id)
            state.task_ready(self)
            self.reject(requeue=True)
        finally:
            task.request_stack.pop()

    def _has_died(self, error: BaseException) -> bool:
        """Whether the process died, and it was not the worker that ended it."""
        stopping = any(
            flag is not None and flag is not False
            for flag in (state.should_stop, state.should_terminate)
        )
        ended_by_us = stopping or self._already_cancelled or self._already_revoked
        died = isinstance(error, WorkerLostError | SystemExit | KeyboardInterrupt)
        return died and not ended_by_us

    def _once_more_or_bury(self, error: BaseException) -> ExceptionInfo | None:
        """What Celery is to take for the outcome; None to give the message back as it is."""
        task = self.task
        task.request_stack.push(self._context)
        try:
            times = lost(task) + 1
            logger.warning("process_lost task=%s id=%s times=%d", self.name, self.id, times)
            if times >= LOST_AT_MOST:
                values, fields, _ = self._payload
                _give_up(task, values, fields, _reason(error, times))
            self._send_again(times)
            raise Retry(exc=error)
        except (Retry, Reject):
            return ExceptionInfo()
        except Exception:  # whatever it was: as it is, the message has the same count next time
            logger.exception("process_lost id=%s: neither sent again nor buried", self.id)
            return None
        finally:
            task.request_stack.pop()

    def _send_again(self, times: int) -> None:
        """The same message behind the others of its queue; twice if we die before the end."""
        message = self._message
        headers = {FIRST_FAILED: time.time()} | message.headers | {LOST: times}
        kept = {name: message.properties.get(name) for name in KEPT}
        with self.app.producer_or_acquire() as producer:
            producer.publish(
                message.body,
                exchange=message.delivery_info["exchange"],
                routing_key=message.delivery_info["routing_key"],
                content_type=message.content_type,
                content_encoding=message.content_encoding,
                headers=headers,
                **{name: value for name, value in kept.items() if value is not None},
            )


def _give_up(task: Task, values: list[Any], fields: dict[str, Any], error: Exception) -> None:
    """End the receipt, then bury. Raises Reject: that is done."""
    logger.error("process_lost task=%s id=%s: given up: %r", task.name, task.request.id, error)
    if task.name == Name.INVALIDATE and not values:
        _end_receipt(task, fields, error)
    bury(task, {**fields, "arguments": values} if values else fields, error)


def _end_receipt(task: Task, fields: dict[str, Any], error: Exception) -> None:
    given = {"id": task.request.id, "at": time.time(), "by": sent_by(task)} | fields
    with suppress(InvalidInput):  # no request: nobody can have a receipt of it
        request = make_request(**given)
        receipt = services(task).cache.stores.receipts.load(request.id)
        # One that died over the purge has kept its promise, and said so.
        if receipt is None or receipt.status is Status.PENDING:
            services(task).invalidator.refuse(request, error)


def _reason(error: BaseException, times: int) -> Exception:
    found: Exception = error if isinstance(error, WorkerLostError) else WorkerLostError(repr(error))
    found.add_note(f"the process died each time, {times} times")
    return found
