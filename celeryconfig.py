"""The Celery configuration, on one page, with the reason for each setting.

Unknown names are refused when a worker starts (``workers.checks``): Celery itself ignores them.
"""

from __future__ import annotations

from cachekeeper.client.stores import server_urls
from cachekeeper.names import ROUTES, Queue
from cachekeeper.queues import EXCHANGE, declared_queues
from cachekeeper.settings import load
from workers.schedule import schedule

_settings = load()

# Where: as given by the environment, else the deployment that runs on this machine.
broker_url = server_urls(_settings)[1]

# What: JSON only, since pickle runs what it reads; receipts are our results.
task_serializer = "json"
accept_content = ["json"]
# Celery's own consumer dies of some messages that are not well-formed; ours buries them.
worker_consumer = "workers.consumer:Consumer"
task_ignore_result = True

# Queues: one per strategy and kind of work, declared in full; a misspelt name is an error at
# the producer and not a new queue that nobody serves.
task_queues = declared_queues()
task_create_missing_queues = False
task_default_queue = Queue.MAINTENANCE
task_default_exchange = EXCHANGE.name
task_routes = {task: {"queue": queue} for task, queue in ROUTES.items()}
# No message priorities: brokers disagree about their direction, and Redis merges neighbouring
# ones.
broker_transport_options = {
    # By priority, but each queue has its turn: one that never runs dry starves no other.
    "queue_order_strategy": "workers.order:PriorityWithTurns",
    # A message that is not acknowledged comes back after this; longer than any task may run, or a
    # slow task would be given out again and again while it runs.
    "visibility_timeout": _settings.visibility_timeout_s,
    # What a killed worker held comes back sooner (workers.taking).
    "silent_s": _settings.worker_silent_s,
    # Look for such messages, and give a sign of life, every 2 s and not every 100 s.
    "unacked_restore_interval": 2,
    "unacked_restore_throttle": 1,
}

# Durability: acknowledge when done, hand back when a child dies, take one message at a time so
# that little is unacknowledged. A task that kills its child each time would be handed back for
# ever: our requests count, and end in the dead letters. Celery's task_retry_on_worker_lost counts
# too, but among the task's own retries, and drops what is too much.
task_acks_late = True
task_reject_on_worker_lost = True
task_annotations = {"*": {"Request": "workers.lost:Request"}}
worker_prefetch_multiplier = 1
task_time_limit = 300
task_soft_time_limit = 270
# Told to stop, a worker gives its task this long, then hands it back.
worker_soft_shutdown_timeout = 5.0
worker_enable_soft_shutdown_on_idle = False
worker_cancel_long_running_tasks_on_connection_loss = True
broker_connection_retry_on_startup = True

# Schedule: every tick expires before the next, so that a stopped worker finds no pile of them.
beat_schedule = schedule(_settings)
timezone = "UTC"

# Events for Flower: what was sent is shown too, and events of a dead dashboard expire.
worker_send_task_events = True
task_send_sent_event = True
event_queue_expires = 60.0
event_queue_ttl = 5.0

# Logs go where the supervisor reads them; ours are configured in workers.lifecycle.
worker_hijack_root_logger = False
worker_redirect_stdouts = False
