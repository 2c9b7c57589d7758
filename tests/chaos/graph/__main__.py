"""The long form: ``python -m tests.chaos.graph --seconds 60``."""

from __future__ import annotations

import json
import signal
import sys
import time
from pathlib import Path

import click

from tests.chaos.graph.removed import REMOVALS
from tests.chaos.graph.run import run
from tests.chaos.graph.site import Plan

ABLATION_S = 15.0


@click.command()
@click.option("--seconds", default=60.0, show_default=True, help="For how long.")
@click.option("--producers", default=3, show_default=True, help="Processes that read and fill.")
@click.option("--seed", type=int, default=lambda: int(time.time()), help="Of all that is drawn.")
@click.option("--ablations", is_flag=True, help="Then take out each rule in turn.")
@click.option("--without", default="", type=click.Choice(["", *REMOVALS]), help="A rule to omit.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object as the last line.")
@click.option("--keep", type=click.Path(path_type=Path), help="Keep the history in this folder.")
def main(
    seconds: float,
    producers: int,
    seed: int,
    ablations: bool,
    without: str,
    as_json: bool,
    keep: Path | None,
) -> None:
    """Fill, evict and invalidate, and look for what should not be there.

    Exit status 1 when there was any, or when a rule taken out was not missed.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # and clean up
    outcome = run(Plan(seconds, producers, seed, without), keep)
    print("\n".join(outcome.said))
    for name, figure in outcome.figures.items():
        print(f"{name:26} {figure}")
    blind = []
    found: dict[str, int] = {}
    for rule in REMOVALS if ablations else ():
        left = run(Plan(ABLATION_S, producers, seed, rule)).verdict.left
        found[rule] = left
        print(f"without {rule}: {left} records left", flush=True)
        blind += [] if left else [rule]
    if as_json:
        print(json.dumps(outcome.figures | {"ablation_left": found}))
    if blind:
        print(f"not missed: {', '.join(blind)}")
    sys.exit(1 if outcome.verdict.stale or outcome.verdict.left or blind else 0)


if __name__ == "__main__":
    main(prog_name="python -m tests.chaos.graph")
