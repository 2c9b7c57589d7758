"""How much the morning does, and what it has to show for it in the end."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Pace:
    """The figures of a morning; times in seconds."""

    # What is done.
    edits: int = 48
    renames: int = 4
    deletes: int = 4
    at_once: int = 8  # changes under way together
    least_s: float = 30.0  # it lasts at least this long, and until every check holds
    most_s: float = 75.0  # but no longer than this
    clean_s: float = 20.0  # for one change to reach the last tier
    too_many_faults: int = 12  # it ends early after more

    # What is asked of it.
    edits_a_tier: int = 20  # old there before, new after
    evictions: int = 50
    quota_looks: int = 50  # at the bytes on disk
    most_memory: int = 300 * 1024 * 1024  # bytes, of every process
