"""The long form: ``python -m tests.chaos.pipeline --requests 20000``."""

from __future__ import annotations

import json
import signal
import sys
import time
from pathlib import Path

import click

from tests.chaos.pipeline.run import Course, run
from tests.chaos.pipeline.site import Plan

SHOWN = 10


@click.command()
@click.option("--requests", default=20_000, show_default=True, help="So many are accepted.")
@click.option(
    "--aof",
    default="everysec",
    show_default=True,
    type=click.Choice(["everysec", "always"]),
    help="How often the server syncs its file.",
)
@click.option("--seed", type=int, default=lambda: int(time.time()), help="Of all that is drawn.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object as the last line.")
@click.option("--keep", type=click.Path(path_type=Path), help="Keep the history in this folder.")
def main(requests: int, aof: str, seed: int, as_json: bool, keep: Path | None) -> None:
    """Ask for invalidations, kill everything in turn, and look for what was not done once.

    Exit status 1 when there was any.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # and clean up
    outcome = run(Plan(requests=requests, aof=aof, seed=seed), Course(), keep)
    for name, figure in outcome.figures.items():
        print(f"{name:32} {figure}")
    for kind, ids in outcome.verdict.wrong.items():
        print(f"{kind}: {', '.join(ids[:SHOWN])}")
    if as_json:
        print(json.dumps(outcome.figures))
    sys.exit(1 if outcome.verdict.wrong or outcome.left else 0)


if __name__ == "__main__":
    main(prog_name="python -m tests.chaos.pipeline")
