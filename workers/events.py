"""Events of tasks go out together, and not one by one between a message and its task."""

from __future__ import annotations

from typing import Any, Final

from celery import bootsteps
from celery.worker.consumer.events import Events

#: How late a dashboard may hear of what a task does.
TOGETHER_S: Final = 0.1


class EventsTogether(bootsteps.StartStopStep):
    """Publishes events of tasks ``TOGETHER_S`` after the first of them, or 24 at once.

    Celery does it at the next turn of its loop: after a message has come and before the task is
    handed to a child, and again when it begins, when it ends. That is a round trip to the broker
    in the way of every task, to tell a dashboard.
    """

    requires = (Events,)

    def __init__(self, consumer: Any, **_: Any) -> None:
        self._due = False
        super().__init__(consumer)

    def start(self, consumer: Any) -> None:
        """For the dispatcher that there is since the last connection."""
        if consumer.hub and consumer.event_dispatcher:
            self._due = False
            consumer.event_dispatcher.on_send_buffered = lambda: self._later(consumer)

    def shutdown(self, consumer: Any) -> None:
        """Say what was held back."""
        if consumer.event_dispatcher:
            consumer.event_dispatcher.flush()

    def _later(self, consumer: Any) -> None:
        if not self._due:
            self._due = True
            consumer.hub.call_later(TOGETHER_S, self._publish, consumer)

    def _publish(self, consumer: Any) -> None:
        self._due = False
        if consumer.event_dispatcher:
            consumer.event_dispatcher.flush()
