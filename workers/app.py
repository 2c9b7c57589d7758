"""The Celery application: ``celery -A workers.app worker|beat|flower``."""

from __future__ import annotations

import sys

from celery import Celery

import tasks
from cachekeeper.errors import CachekeeperError
from workers import lifecycle, transport
from workers.context import WiringPerProcess
from workers.events import EventsTogether
from workers.quarantine import Quarantine


class Application(Celery):
    """Celery with our services; tasks find them as ``app.wiring()``.

    ``quarantine`` is where messages go that are none.
    """

    wiring = WiringPerProcess()
    quarantine: Quarantine


def make_app() -> Application:
    """The application, configured by ``celeryconfig``, with every task registered."""
    try:
        import celeryconfig  # here, since it reads the environment, which may be wrong
    except CachekeeperError as error:
        sys.exit(f"cachekeeper: refused to start: {error}")
    made = Application("cachekeeper")
    made.config_from_object(celeryconfig)
    made.steps["consumer"].add(EventsTogether)
    made.quarantine = Quarantine(lambda: made.wiring())
    transport.install(made.quarantine)
    tasks.register()
    lifecycle.connect(celeryconfig)
    return made


app = make_app()
