"""What waits where, as a table for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from cachekeeper.cli.told import span
from cachekeeper.services.queues import Row

HEAD: Final = f"  {'QUEUE':<24}{'WAITING':>9}{'OLDEST':>9}"


def queue_table(rows: Sequence[Row]) -> str:
    """A line for each place."""
    return "\n".join([HEAD, *map(_line, rows)])


def _line(row: Row) -> str:
    oldest = "-" if not row.waiting else "?" if row.oldest_s is None else span(row.oldest_s)
    return f"  {row.name:<24}{row.waiting:>9,}{oldest:>9}"
