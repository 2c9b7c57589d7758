"""What tasks share: how they reach the services, and what becomes of an error."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn, Protocol, cast

from celery import Task
from celery.exceptions import Reject

from cachekeeper.client.cache import Cache
from cachekeeper.core.ports import Activity, DeadLetters
from cachekeeper.errors import CacheUnavailable, InvalidInput
from cachekeeper.services.batch import Flusher
from cachekeeper.services.evict import EvictionSweep
from cachekeeper.services.expire import ExpirySweep, LazySweep
from cachekeeper.services.invalidate import Invalidator
from cachekeeper.services.prefetch import Prefetcher
from cachekeeper.services.prepared import PreparedSweep
from cachekeeper.services.recover import Recovery
from cachekeeper.services.refresh_graph import GraphRefresh
from cachekeeper.settings import Settings

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 10.0
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
    def prefetcher(self) -> Prefetcher: ...
    @property
    def graph_refresh(self) -> GraphRefresh: ...
    @property
    def recovery(self) -> Recovery: ...
    @property
    def prepared_sweep(self) -> PreparedSweep: ...
    @property
    def dead_letters(self) -> DeadLetters: ...
    @property
    def activity(self) -> Activity: ...


def services(task: Task) -> Services:
    """The services of this process; the application carries them."""
    return cast(Services, task.app.wiring())


def done(task: Task, figures: Mapping[str, float]) -> dict[str, float]:
    """Put the figures of a scheduled task on record; they are its result too."""
    services(task).activity.record(task.name, task.request.hostname, time.time(), figures)
    return dict(figures)


def again(task: Task, error: Exception, retries: int) -> None:
    """Retry with a capped, jittered pause; returns after the last attempt."""
    if task.request.retries < retries:
        raise task.retry(exc=error, countdown=_pause(task), max_retries=retries)


def hand_back(error: CacheUnavailable) -> NoReturn:
    """Give a message back to its queue, after a pause: without the cache server nothing goes.

    Not a retry, which is a new message: the broker may be the same server, and what can't be
    enqueued is lost. This one stays unacknowledged until it is back in its queue.
    """
    time.sleep(SERVER_PAUSE_S)
    raise Reject(str(error), requeue=True) from error


def _pause(task: Task) -> float:
    attempt: int = task.request.retries
    longest = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(attempt, 16))
    return longest * random.uniform(0.5, 1)


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


def bury(task: Task, arguments: dict[str, Any], error: Exception) -> NoReturn:
    """Give work up for good: into the dead letters, with the reason; never retried."""
    work = {"task": task.name, "id": task.request.id, "arguments": arguments}
    services(task).dead_letters.bury(work, str(error), time.time())
    raise Reject(str(error), requeue=False) from error
