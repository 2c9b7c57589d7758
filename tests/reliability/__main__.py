"""The long form: ``python -m tests.reliability``."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from dataclasses import asdict
from pathlib import Path

import click

from cachekeeper.settings import PREFIX
from tests.reliability.cells import Cell
from tests.reliability.matrix import ALL_CELLS, RISKIEST, Name, groups, play_all
from tests.reliability.page import page


@click.command()
@click.option("--cells", "wanted", help="Those whose `operation, task` holds this text.")
@click.option("--times", default=20, show_default=True, help="So often the ten riskiest.")
@click.option("--once/--no-once", default=True, show_default=True, help="All cells once.")
@click.option("--together", default=2, show_default=True, help="Deployments at a time.")
@click.option("--json", "as_json", type=click.Path(path_type=Path), help="All cells, to a file.")
@click.option("--table", type=click.Path(path_type=Path), help="Write the page to a file.")
def main(
    wanted: str | None,
    times: int,
    once: bool,
    together: int,
    as_json: Path | None,
    table: Path | None,
) -> None:
    """Play every operation against every type of task. Exit status 1 when anything was wrong."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # and clean up
    for variable in [name for name in os.environ if name.startswith(PREFIX)]:
        del os.environ[variable]  # nobody's deployment but our own

    def chosen(name: Name) -> bool:
        return wanted is None or wanted in ", ".join(name)

    batches = groups(filter(chosen, ALL_CELLS)) if once else []
    batches += [[name] * times for name in RISKIEST if chosen(name) and times]
    begin = time.monotonic()
    cells = play_all(batches, together, _tell)
    minutes = (time.monotonic() - begin) / 60
    if as_json:
        as_json.write_text(json.dumps([asdict(each) for each in cells], indent=1))
    wrong = sum(bool(each.wrong) for each in cells)
    said = (
        f"{len(cells)} cells in {minutes:.0f} minutes, {together} deployments at a time: "
        f"{'every' if once and not wanted else 'a'} cell {'once' if once else 'not at all'}, "
        f"the ten riskiest {times} times more. {wrong} were wrong."
    )
    if table:
        table.write_text(page(cells, said))
    print(said)
    sys.exit(1 if wrong else 0)


def _tell(cell: Cell) -> None:
    verdict = "; ".join(cell.wrong) or "ok"
    print(
        f"{cell.operation:18} {cell.load:22} {cell.seconds:6.1f} s  "
        f"recovery {cell.recovery_s:5.1f} s  {verdict}",
        flush=True,
    )


if __name__ == "__main__":
    main(prog_name="python -m tests.reliability")
