"""docs/reliability.md, as a run found it."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Final

from tests.reliability.cells import Cell
from tests.reliability.loads import LOADS
from tests.reliability.matrix import RISKIEST
from tests.reliability.operations import ALL

HEAD: Final = """# Reliability

Written by `python -m tests.reliability --table docs/reliability.md`; not by hand.

Each cell is real processes on a real server: while work is asked for, an operation befalls them,
and goes away. *Recovery* is the time from the end of the operation until all that was accepted has
come out, in seconds (0.6 s of further work included); *bound* is what it may take. Periods and
deadlines are those of `tests/reliability/world.py`, much shorter than those that ship. *Lost* is
accepted and not done within the bound; *duplicated* had its effect twice, or bytes twice; *stale*
was read as it was before an invalidation that had ended. A cell is *wrong* for those, and for an
orphan, a key, a blob, a message or a file descriptor that is left, or a dead letter too many.
"""
COLUMNS: Final = "n | accepted | lost | duplicated | stale | wrong | recovery p50 | max"


def page(cells: Sequence[Cell], runs: Sequence[str]) -> str:
    """The whole text; ``runs`` says what was run, by revision."""
    lines = [HEAD, "Runs, by revision:", "", *(f"- {run}" for run in runs)]
    lines += ["", "## Operations", ""]
    lines += [f"| operation | what | bound | {COLUMNS} |", "|---" * 11 + "|"]
    for name, op in ALL.items():
        if mine := [c for c in cells if c.operation == name]:
            lines.append(f"| {name} | {op.what} | {op.bound_s:g} | {_figures(mine)} |")
    lines += ["", "## Types of task", "", f"| type | {COLUMNS} |", "|---" * 9 + "|"]
    for load in LOADS:
        if mine := [c for c in cells if c.load == load]:
            lines.append(f"| {load} | {_figures(mine)} |")
    lines += ["", "## Cells", "", "Recovery max in seconds, and n where it is more than one.", ""]
    lines += [f"| | {' | '.join(LOADS)} |", "|---" * (len(LOADS) + 1) + "|"]
    lines += [
        f"| {name} | {' | '.join(_short(cells, name, load) for load in LOADS)} |" for name in ALL
    ]
    lines += ["", "## The riskiest", "", f"| cell | why | {COLUMNS} |", "|---" * 10 + "|"]
    for (name, load), why in RISKIEST.items():
        if mine := [c for c in cells if (c.operation, c.load) == (name, load)]:
            lines.append(f"| {name}, {load} | {why} | {_figures(mine)} |")
    wrong = [c for c in cells if c.wrong]
    lines += ["", "## What was wrong", ""]
    lines += [
        f"- {c.revision}: {c.operation}, {c.load}: {'; '.join(c.wrong[:4])}" for c in wrong
    ] or ["Nothing."]
    return "\n".join(lines) + "\n"


def _figures(cells: Sequence[Cell]) -> str:
    seconds = [c.recovery_s for c in cells if not c.wrong] or [0.0]
    sums = [sum(getattr(c, f) for c in cells) for f in ("accepted", "lost", "duplicated", "stale")]
    wrong = sum(bool(c.wrong) for c in cells)
    times = [f"{median(seconds):.1f}", f"{max(seconds):.1f}"]
    return " | ".join(map(str, (len(cells), *sums, wrong, *times)))


def _short(cells: Sequence[Cell], name: str, load: str) -> str:
    mine = [c for c in cells if (c.operation, c.load) == (name, load)]
    if not mine:
        return "not run"
    if any(c.wrong for c in mine):
        return f"**wrong** {sum(bool(c.wrong) for c in mine)} of {len(mine)}"
    longest = f"{max(c.recovery_s for c in mine):.1f}"
    return longest if len(mine) == 1 else f"{longest} (n {len(mine)})"
