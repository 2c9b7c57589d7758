"""What beat does, and how often. Every task here is safe to run twice at once."""

from __future__ import annotations

from typing import Any

from cachekeeper.names import Task
from cachekeeper.settings import Settings


def schedule(settings: Settings) -> dict[str, dict[str, Any]]:
    """The beat schedule; names are the tasks'."""
    periods = {
        Task.FLUSH_SCHEDULED: settings.scheduled_flush_s,
        Task.FLUSH_BACKGROUND: settings.background_flush_s,
        Task.FLUSH_BULK: settings.batch_recovery_s,  # in case a bell was lost
        Task.REFRESH_GRAPH: settings.graph_refresh_s,
        Task.SWEEP_EXPIRED: settings.expiry_sweep_s,
        Task.SWEEP_LAZY: settings.lazy_sweep_s,
        Task.RECONCILE: settings.reconcile_s,
        Task.SWEEP_DEVICES: settings.eviction_sweep_s,
        Task.DECAY_MODEL: settings.model_decay_s,
        Task.DISPATCH_DUE: settings.due_sweep_s,
        Task.RECOVER_BATCHES: settings.batch_recovery_s,
        Task.FIRE_PREPARED: settings.prepared_sweep_s,
        Task.CLEAN_PENDING: settings.pending_cleanup_s,
        Task.TRIM_RECORDS: settings.record_trim_s,
        Task.HEARTBEAT: settings.heartbeat_s,
    }
    return {
        task: {"task": task, "schedule": period, "options": {"expires": period}}
        for task, period in periods.items()
    }
