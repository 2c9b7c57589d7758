"""A producer that is killed (-9) on its way through a transaction, at a given point.

``python -m tests.integration.committing POINT DATABASE DEADLINE``, settings by the environment.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import sys

from cachekeeper import Cache
from cachekeeper.client.unit_of_work import UnitOfWork

POINTS = ("prepared", "committed", "released", "sent")
NEW = "new"


def die(*_: object, **__: object) -> None:
    """At once, with nothing cleaned up."""
    os.kill(os.getpid(), signal.SIGKILL)


def write(cache: Cache, database: sqlite3.Connection, work: UnitOfWork, point: str) -> None:
    """Change the truth and say so."""
    database.execute("UPDATE note SET text = ?", [NEW])
    work.invalidate("note:a")
    work.prepare()
    if point == "prepared":
        die()
    database.commit()
    if point == "committed":
        die()
    if point == "released":
        cache.broker.send = die  # type: ignore[method-assign,assignment]  # no code of ours ends there
    if point == "sent":
        cache.stores.prepared.forget = die  # type: ignore[method-assign]  # as above


def main(point: str, path: str, deadline_s: float) -> None:
    """Never returns."""
    database = sqlite3.connect(path)
    with Cache() as cache, cache.unit_of_work(deadline_s=deadline_s) as work:
        write(cache, database, work, point)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]))
