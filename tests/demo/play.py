"""The demo with a short morning: `python -m tests.demo.play run|check ...` as `demo` has them.

`python -m tests.demo.play broken TIER LIBRARY` plays it with readers whose TIER ignores every
invalidation, and exits as the demo does.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import demo.__main__
from demo.__main__ import play_once, start
from demo.pace import Pace

#: Fewer changes, and all that is asked of them in proportion.
SHORT = Pace(
    edits=20,
    renames=2,
    deletes=2,
    at_once=12,
    least_s=3.0,
    most_s=40.0,
    edits_a_tier=10,
    evictions=20,
    quota_looks=20,
)
#: One turn of edits, of which none will ever be clean.
NEVER_CLEAN = replace(
    SHORT,
    edits=12,
    renames=0,
    deletes=0,
    clean_s=8.0,  # more than a scheduled batch waits (5 s), or that would be the fault
)
#: With some lazy edits in more than one turn: until the sweep, every 2 s, nothing but its stamp
#: tells a value in a shared tier from a fresh one.
LATE_CLEAN = replace(NEVER_CLEAN, edits=16, too_many_faults=1000)
BROKEN = {"memory": NEVER_CLEAN, "redis": LATE_CLEAN, "disk": LATE_CLEAN}


def broken(tier: str, library: Path) -> bool:
    """Whether every check held with readers that have one tier broken."""
    reader = (sys.executable, "-m", "tests.demo.broken_reader", tier)
    return play_once(library, reader, BROKEN[tier])


if __name__ == "__main__":
    if sys.argv[1] == "broken":
        demo.__main__.FAULTS_SHOWN = 1000
        sys.exit(0 if broken(sys.argv[2], Path(sys.argv[3])) else 1)
    start(SHORT)
