"""The long form: ``python -m tests.reliability``."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import click

from cachekeeper.settings import PREFIX
from tests.reliability.cells import Cell
from tests.reliability.matrix import ALL_CELLS, RISKIEST, Name, groups, play_all
from tests.reliability.page import page
from tests.rig.cluster import ROOT


@click.command()
@click.option("--cells", "wanted", help="Those whose `operation, task` holds this text.")
@click.option("--times", default=20, show_default=True, help="So often the ten riskiest.")
@click.option("--once/--no-once", default=True, show_default=True, help="All cells once.")
@click.option("--together", default=2, show_default=True, help="Deployments at a time.")
@click.option("--json", "as_json", type=click.Path(path_type=Path), help="All cells, to a file.")
@click.option("--add", type=click.Path(exists=True, path_type=Path), help="A file of --json.")
@click.option("--table", type=click.Path(path_type=Path), help="Write the page to a file.")
def main(
    wanted: str | None,
    times: int,
    once: bool,
    together: int,
    as_json: Path | None,
    add: Path | None,
    table: Path | None,
) -> None:
    """Play every operation against every type of task. Exit status 1 when anything was wrong.

    With --add, table and file hold those of an earlier run, too, right or wrong.
    """
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
    wrong, revision = sum(bool(each.wrong) for each in cells), _revision()
    for each in cells:
        each.revision = revision
    all_once = f"{'every cell' if wanted is None else 'cells'} once" if once else "no cell once"
    said = (
        f"{revision}: {len(cells)} cells in {minutes:.0f} minutes, {together} deployments at a "
        f"time; {all_once}{f' (of `{wanted}`)' if wanted else ''}, the riskiest "
        f"{times} times more. {wrong} were wrong."
    )
    earlier = json.loads(add.read_text()) if add else {"runs": [], "cells": []}
    runs = [*earlier["runs"], said]
    cells = [*(Cell(**each) for each in earlier["cells"]), *cells]
    if as_json:
        kept = {"runs": runs, "cells": [asdict(each) for each in cells]}
        as_json.write_text(json.dumps(kept, indent=1))
    if table:
        table.write_text(page(cells, runs))
    print(said)
    sys.exit(1 if wrong else 0)


def _revision() -> str:
    """Of the checkout that is tested."""
    argv = ["git", "describe", "--always", "--dirty"]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "no revision"


def _tell(cell: Cell) -> None:
    verdict = "; ".join(cell.wrong) or "ok"
    print(
        f"{cell.operation:18} {cell.load:22} {cell.seconds:6.1f} s  "
        f"recovery {cell.recovery_s:5.1f} s  {verdict}",
        flush=True,
    )


if __name__ == "__main__":
    main(prog_name="python -m tests.reliability")
