"""Every queue and task name of the system, once.

Queues are named ``domain.urgency``, tasks ``domain.verb_object``. Producers in any
language use these names on the wire, so a rename is a breaking change.
"""

from __future__ import annotations

from typing import Final


class Queue:
    """The queues: one per invalidation strategy, and one per other kind of work.

    What can pile up has no queue in common with a tick of the schedule, which would wait behind it
    until it has expired, again and again.
    """

    IMMEDIATE: Final = "invalidation.immediate"
    SCHEDULED: Final = "invalidation.scheduled"
    LAZY: Final = "invalidation.lazy"
    BACKGROUND: Final = "invalidation.background"
    CHANGES: Final = "origins.changes"
    PURGE: Final = "invalidation.purge"
    PLAN: Final = "prefetch.plan"
    PREFETCH: Final = "prefetch.fetch"
    EVICTION: Final = "eviction.sweep"
    MAINTENANCE: Final = "maintenance.run"


#: Most urgent first: how a worker that serves several queues prefers them (``workers.order``).
QUEUES: Final = (
    Queue.IMMEDIATE,
    Queue.SCHEDULED,
    Queue.LAZY,
    Queue.BACKGROUND,
    Queue.CHANGES,
    Queue.PURGE,
    Queue.EVICTION,
    Queue.MAINTENANCE,
    Queue.PLAN,
    Queue.PREFETCH,
)


#: Header of a message: when the first attempt failed, seconds since 1970. How many attempts there
#: were is in Celery's own header ``retries``.
FIRST_FAILED: Final = "first_failed"
#: Header of a message: how often the process died that worked on it. Workers write it.
LOST: Final = "lost"
#: Header of a message: when it was sent, seconds since 1970. Other producers may leave it out.
SENT: Final = "sent"


class Task:
    """The Celery tasks."""

    INVALIDATE: Final = "invalidation.request"
    FLUSH_SCHEDULED: Final = "invalidation.flush_scheduled"
    FLUSH_BACKGROUND: Final = "invalidation.flush_background"
    FLUSH_BULK: Final = "invalidation.flush_bulk"
    FIRE_PREPARED: Final = "invalidation.fire_prepared"
    PURGE: Final = "invalidation.purge_dependents"
    SWEEP_LAZY: Final = "invalidation.sweep_lazy"
    REPORT_CHANGES: Final = "origins.report_changes"
    RECONCILE: Final = "origins.reconcile_versions"
    PLAN: Final = "prefetch.plan_access"
    PREFETCH: Final = "prefetch.fetch_file"
    WARM: Final = "prefetch.warm_files"
    DECAY_MODEL: Final = "prefetch.decay_model"
    SWEEP_DEVICES: Final = "eviction.sweep_devices"
    SWEEP_EXPIRED: Final = "expiry.sweep_expired"
    REFRESH_GRAPH: Final = "graph.refresh_snapshot"
    DISPATCH_DUE: Final = "recovery.dispatch_due"
    RECOVER_BATCHES: Final = "recovery.requeue_batches"
    CLEAN_PENDING: Final = "recovery.clean_pending"
    TRIM_RECORDS: Final = "reports.trim_records"
    HEARTBEAT: Final = "reports.record_heartbeat"


#: Where each task goes.
ROUTES: Final = {
    Task.INVALIDATE: Queue.IMMEDIATE,  # the client names the strategy's queue for the others
    Task.FLUSH_SCHEDULED: Queue.SCHEDULED,
    Task.FLUSH_BACKGROUND: Queue.BACKGROUND,
    Task.FLUSH_BULK: Queue.IMMEDIATE,
    # At the head of the general worker's queues: deadlines hold whatever else there is to do.
    Task.FIRE_PREPARED: Queue.SCHEDULED,
    Task.PURGE: Queue.PURGE,
    Task.SWEEP_LAZY: Queue.LAZY,
    Task.REPORT_CHANGES: Queue.CHANGES,  # it asks the origin, for which immediate work can't wait
    Task.RECONCILE: Queue.MAINTENANCE,
    Task.PLAN: Queue.PLAN,
    Task.PREFETCH: Queue.PREFETCH,  # waits for origins: a worker of its own
    Task.WARM: Queue.PREFETCH,
    Task.DECAY_MODEL: Queue.MAINTENANCE,
    Task.SWEEP_DEVICES: Queue.EVICTION,
    Task.SWEEP_EXPIRED: Queue.MAINTENANCE,
    Task.REFRESH_GRAPH: Queue.MAINTENANCE,
    Task.DISPATCH_DUE: Queue.IMMEDIATE,  # a retry has a bound to keep, whatever else is queued
    Task.RECOVER_BATCHES: Queue.MAINTENANCE,
    Task.CLEAN_PENDING: Queue.MAINTENANCE,
    Task.TRIM_RECORDS: Queue.MAINTENANCE,
    Task.HEARTBEAT: Queue.MAINTENANCE,
}
