"""Celery's consumer, which looks at each message before it believes it.

The second of two checks, and the only one with other brokers than Redis: what kombu could read
must be a task of this application (``workers.protocol``). What is not is quarantined.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from celery.worker.consumer import Consumer as CeleryConsumer
from kombu import Message

from cachekeeper.errors import InvalidInput
from workers.protocol import check_task
from workers.quarantine import Evidence
from workers.transport import Message as GuardedMessage

#: How long a message is taken for lost that is not acknowledged; kombu's own default.
VISIBILITY_S: Final = 3600.0
SERVER_PAUSE_S: Final = 1.0


class Consumer(CeleryConsumer):
    """Runs tasks, and buries what is none."""

    def create_task_handler(self, *args: Any, **kwargs: Any) -> Callable[[Message], None]:
        """What is called with each message of a task queue."""
        handle = super().create_task_handler(*args, **kwargs)
        longest_s = self.app.conf.broker_transport_options.get("visibility_timeout", VISIBILITY_S)

        def on_task_received(message: Message) -> None:
            try:
                check_task(message, self.app.tasks, longest_s, time.time())
            except InvalidInput as error:
                self.refuse(message, error)
            else:
                handle(message)

        return on_task_received

    def on_decode_error(self, message: Message, exc: Exception) -> None:
        """Called with a body that can't be decoded, of a task or of a remote control."""
        self.refuse(message, exc)

    # Celery calls these with what it finds malformed where we did not, and only logs it.

    def on_unknown_message(self, body: object, message: Message) -> None:  # noqa: ARG002
        """Called with a message that names no task."""
        self.refuse(message, InvalidInput("message", "no task", "a task"))

    def on_unknown_task(self, body: object, message: Message, exc: Exception) -> None:  # noqa: ARG002
        """Called with a task that nobody registered."""
        self.refuse(message, exc)

    def on_invalid_task(self, body: object, message: Message, exc: Exception) -> None:  # noqa: ARG002
        """Called with a task that can't be run."""
        self.refuse(message, exc)

    def refuse(self, message: Message, error: Exception) -> None:
        """Quarantine a message, then acknowledge it."""
        reason = (
            str(error) if isinstance(error, InvalidInput) else f"{type(error).__name__}: {error}"
        )
        queue = str(message.delivery_info.get("routing_key"))
        keep = getattr(message.channel, "keep", partial(_hand_back, message))
        self.app.quarantine.take(queue, _raw(message), reason, keep)
        if not message.acknowledged:
            message.ack()


def _raw(message: Message) -> bytes:
    if isinstance(message, GuardedMessage):
        return message.raw
    parts = ("headers", "properties", "content_type", "content_encoding", "body")
    return json.dumps({part: getattr(message, part) for part in parts}, default=repr).encode()


def _hand_back(message: Message, _evidence: Evidence) -> None:
    """Another broker than Redis has no list for us: the message waits in its queue."""
    time.sleep(SERVER_PAUSE_S)  # or it comes back at once, and nothing else is done
    message.requeue()
