"""The long form: ``python -m tests.soak --minutes 20``."""

from __future__ import annotations

import signal
import sys
import tempfile
import time
from pathlib import Path

import click

from tests.soak.report import write
from tests.soak.run import Plan, run

#: Of a process's life, but no more than this share of the run.
WARM_S = 120.0
WARM_SHARE = 0.2


@click.command()
@click.option("--minutes", default=20.0, show_default=True, help="Of load.")
@click.option("--seed", type=int, default=lambda: int(time.time()), help="Of all that is drawn.")
@click.option(
    "--report",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("soak-report"),
    show_default=True,
    help="Folder of the page and its plots.",
)
@click.option("--keep", type=click.Path(path_type=Path), help="Keep state and logs in this folder.")
def main(minutes: float, seed: int, report: Path, keep: Path | None) -> None:
    """Run the whole deployment under load and faults, and look for what grows or is left.

    Exit status 1 when there was any.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # and clean up
    seconds = 60 * minutes
    plan = Plan(seconds=seconds, warm_s=min(WARM_S, WARM_SHARE * seconds), seed=seed)
    with tempfile.TemporaryDirectory(prefix="cachekeeper-soak-") as temporary:
        outcome = run(plan, keep or Path(temporary), print)
    page = write(outcome, report)
    for said in outcome.wrong:
        print(f"wrong: {said}")
    print(f"{len(outcome.wrong)} wrong; {page}")
    sys.exit(1 if outcome.wrong else 0)


if __name__ == "__main__":
    main(prog_name="python -m tests.soak")
