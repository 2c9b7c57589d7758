"""``python -m cachekeeper.watcher``: follow the origin until a signal says stop."""

from __future__ import annotations

import logging
import signal
import sys
from threading import Event

from cachekeeper import settings
from cachekeeper.client.cache import Cache
from cachekeeper.client.changes import ChangeDesk
from cachekeeper.errors import CachekeeperError


def main() -> None:
    """Have invalidated what changes in the origin."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s watch: %(message)s")
    logging.getLogger("watchfiles").setLevel(logging.WARNING)
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        # No memory tier: no node that invalidations would wait for.
        with Cache(settings.load(memory_bytes=0)) as cache:
            ChangeDesk(cache).watcher().run(stop)
    except CachekeeperError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
