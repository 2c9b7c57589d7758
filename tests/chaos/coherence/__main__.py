"""The long form: ``python -m tests.chaos.coherence --reads 1000000``."""

from __future__ import annotations

import json
import signal
import sys
import time
from pathlib import Path

import click

from tests.chaos.coherence import faults, report
from tests.chaos.coherence.ablations import QUICK, QUICK_S, SECONDS, Caught, ablate_all
from tests.chaos.coherence.check import describe
from tests.chaos.coherence.cluster import Plan
from tests.chaos.coherence.page import page
from tests.chaos.coherence.removed import REMOVALS
from tests.chaos.coherence.run import Course, run

#: Between two faults: members are to hold something when the next one comes.
GAP_S = (0.5, 4.0)
#: The short form: some seconds without faults, then one of each kind.
SHORT = Course(
    quiet_s=1.0,
    scenes=(
        faults.cut_long,
        faults.pause_short,
        faults.kill_worker_child,
        faults.kill_writer,
        faults.fork,
        faults.cut_and_restore,
        faults.restart_without_aof,
    ),
    gap_s=(0.0, 0.1),
    lanes=2,
)
SHORT_MEMBERS = 3


@click.command()
@click.option("--reads", default=1_000_000, show_default=True, help="At least so many.")
@click.option("--seconds", default=30.0, show_default=True, help="At least so long under faults.")
@click.option("--quiet", "quiet_s", default=60.0, show_default=True, help="Seconds without faults.")
@click.option(
    "--seed", type=int, default=lambda: int(time.time()), help="Of the faults and the reads."
)
@click.option("--members", default=4, show_default=True, help="Processes that read.")
@click.option("--ablations", is_flag=True, help="Then take out each rule in turn.")
@click.option(
    "--quick", is_flag=True, help="The short form: some faults, some rules, a few seconds each."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object as the last line.")
@click.option("--table", type=click.Path(path_type=Path), help="Write the page of the run here.")
@click.option("--keep", type=click.Path(path_type=Path), help="Keep the history in this folder.")
def main(
    reads: int,
    seconds: float,
    quiet_s: float,
    seed: int,
    members: int,
    ablations: bool,
    quick: bool,
    as_json: bool,
    table: Path | None,
    keep: Path | None,
) -> None:
    """Throw every fault at a cluster, and look for a read that went back in time.

    Exit status 1 when there was one, or when a rule taken out was not missed.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # and clean up
    long = Course(quiet_s, seconds, reads=reads, gap_s=GAP_S, lanes=2)
    course = SHORT if quick else long
    plan = Plan(members=SHORT_MEMBERS if quick else members, seed=seed)
    outcome = run(plan, course, keep)
    for stale in outcome.verdict.stale_shown:
        print(describe(stale, outcome.faults))
    caught: list[Caught] = []
    if ablations:
        rules, attempts = (QUICK, QUICK_S) if quick else (tuple(REMOVALS), SECONDS)
        for found in ablate_all(rules, seed, attempts):
            print(f"without {found.rule}: {found.stale} stale of {found.reads}", flush=True)
            caught.append(found)
    figures = report.figures(outcome, caught)
    print(page(figures))
    if figures["reads"] >= report.LEAST_READS:
        for said in report.missed(figures):
            print(f"bar missed: {said}")
    if table:
        table.write_text(page(figures))
    if as_json:
        print(json.dumps(figures))
    blind = [found.rule for found in caught if not found.stale]
    if blind:
        print(f"not missed: {', '.join(blind)}")
    sys.exit(1 if outcome.verdict.stale or blind else 0)


if __name__ == "__main__":
    main(prog_name="python -m tests.chaos.coherence")
