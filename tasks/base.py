"""What tasks share: how they reach the services, and what becomes of an error."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NoReturn, Protocol, cast

from celery import Task
from celery.exceptions import Reject, Retry

from cachekeeper.client.cache import Cache
from cachekeeper.core.dead import kind_of, reason_of
from cachekeeper.core.due import Work
from cachekeeper.core.ports.pipeline import Activity, DeadLetters
from cachekeeper.core.request import MAX_BY
from cachekeeper.errors import CacheUnavailable, InvalidInput
from cachekeeper.names import FIRST_FAILED, LOST, QUEUES, ROUTES
from cachekeeper.services.batch import Flusher
from cachekeeper.services.changes import ChangeReporter
from cachekeeper.services.due import DueSweep
from cachekeeper.services.evict import EvictionSweep
from cachekeeper.services.expire import ExpirySweep, LazySweep
from cachekeeper.services.invalidate import Invalidator
from cachekeeper.services.plan import Planner
from cachekeeper.services.prefetch import Prefetcher
from cachekeeper.services.prepared import PreparedSweep
from cachekeeper.services.reconcile import Reconciler
from cachekeeper.services.recover import Recovery
from cachekeeper.services.refresh_graph import GraphRefresh
from cachekeeper.services.retry import SHOWN, Retrier
from cachekeeper.services.warm import Warmer
from cachekeeper.settings import Settings

SERVER_PAUSE_S = 1.0


class Services(Protocol):
    """What the composition root offers to tasks."""

    @property
    def settings(self) -> Settings: ...
    @property
    def cache(self) -> Cache: ...
    @property
    def invalidator(self) -> Invalidator: ...
    @property
    def flusher(self) -> Flusher: ...
    @property
    def lazy_sweep(self) -> LazySweep: ...
    @property
    def expiry_sweep(self) -> ExpirySweep: ...
    @property
    def eviction_sweep(self) -> EvictionSweep: ...
    @property
    def planner(self) -> Planner: ...
    @property
    def prefetcher(self) -> Prefetcher: ...
    @property
    def change_reporter(self) -> ChangeReporter: ...
    @property
    def reconciler(self) -> Reconciler: ...
    @property
    def warmer(self) -> Warmer: ...
    @property
    def graph_refresh(self) -> GraphRefresh: ...
    @property
    def recovery(self) -> Recovery: ...
    @property
    def prepared_sweep(self) -> PreparedSweep: ...
    @property
    def retrier(self) -> Retrier: ...
    @property
    def due_sweep(self) -> DueSweep: ...
    @property
    def dead_letters(self) -> DeadLetters: ...
    @property
    def activity(self) -> Activity: ...
    def warm_sweep(self) -> Mapping[str, int]: ...
    def queue_figures(self) -> Mapping[str, float]: ...


def services(task: Task) -> Services:
    """The services of this process; the application carries them."""
    return cast(Services, task.app.wiring())


def done(task: Task, figures: Mapping[str, float]) -> dict[str, float]:
    """Put the figures of a scheduled task on record; they are its result too."""
    services(task).activity.record(task.name, task.request.hostname, time.time(), figures)
    return dict(figures)


def again(
    task: Task,
    error: Exception,
    arguments: Mapping[str, Any],
    *,
    retries: int,
    within_s: float = 0.0,
) -> None:
    """Have the task done again after a pause, unless it has been tried often enough.

    Returns when it will not be (see ``Retrier``). ``within_s`` is the bound that a retry has to
    keep, 0 for none.

    Raises:
        Retry: it will be; Celery acknowledges the message. The due list has the work.
        CacheUnavailable: nobody knows; the message is to be handed back.
    """
    work = Work(
        id=str(task.request.id),
        task=task.name,
        queue=_queue(task),
        arguments=arguments,
        retries=tried(task) + 1,
        first_failed=_first_failed(task) or time.time(),
        reason=reason_of(error)[:SHOWN],
        expires=_expires(task),
    )
    pause = services(task).retrier.later(work, error, allowed=retries, within_s=within_s)
    if pause is not None:
        raise Retry(exc=error, when=pause)


def hand_back(error: CacheUnavailable) -> NoReturn:
    """Give a message back to its queue, after a pause: without the cache server nothing goes.

    Not a retry, which is a new message: the broker may be the same server, and what can't be
    enqueued is lost. This one stays unacknowledged until it is back in its queue.
    """
    time.sleep(SERVER_PAUSE_S)  # or it comes back at once, again and again
    raise Reject(str(error), requeue=True) from error


def check_fields(values: tuple[Any, ...], fields: Mapping[str, Any], known: Sequence[str]) -> None:
    """Refuse positional arguments and unknown fields of a message.

    Raises:
        InvalidInput: names the first, and what is allowed.
    """
    allowed = f"the fields {', '.join(known)}, by name" if known else "no arguments"
    if values:
        raise InvalidInput("arguments", list(values), allowed)
    if unknown := sorted(fields.keys() - set(known)):
        raise InvalidInput(unknown[0], fields[unknown[0]], allowed)


def bury(task: Task, arguments: Mapping[str, Any], error: Exception) -> NoReturn:
    """Give work up for good: into the dead letters, with the reason; never retried."""
    work = {
        "task": task.name,
        "id": task.request.id,
        "queue": _queue(task),
        "arguments": arguments,
    }
    services(task).dead_letters.bury(
        work,
        reason_of(error),
        time.time(),
        kind=kind_of(error),
        attempts=tried(task) + lost(task) + 1,
        first_seen=_first_failed(task),
    )
    raise Reject(str(error), requeue=False) from error


def sent_by(task: Task) -> str:
    """Who sent the message, as it says itself: anybody may have written that."""
    said = task.request.origin
    return "".join(c for c in said[:MAX_BY] if c.isprintable()) if isinstance(said, str) else ""


def tried(task: Task) -> int:
    """How often the task failed before; anybody may have written the header."""
    return _count(task.request.retries)


def lost(task: Task) -> int:
    """How often a process died over this message, which is no failure that the task has seen."""
    return _count((task.request.headers or {}).get(LOST))


def _count(found: object) -> int:
    return max(0, found) if isinstance(found, int) else 0


def _first_failed(task: Task) -> float | None:
    found = (task.request.headers or {}).get(FIRST_FAILED)
    return float(found) if isinstance(found, int | float) and 0 < found < time.time() else None


def _queue(task: Task) -> str:
    """The queue that the message came from."""
    found = (task.request.delivery_info or {}).get("routing_key")
    return found if found in QUEUES else ROUTES[task.name]


def _expires(task: Task) -> float | None:
    """When the message was of no use any more, seconds since 1970."""
    found = task.request.expires
    if isinstance(found, str):
        found = datetime.fromisoformat(found)
    return found.timestamp() if isinstance(found, datetime) else None
