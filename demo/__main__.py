"""`python -m demo run` stays up after the morning; `python -m demo check` ends with a verdict."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from pathlib import Path
from threading import Event

import click
from rich.console import Console
from rich.markup import escape

from cachekeeper.errors import CachekeeperError
from cachekeeper.local.state import State, read_running
from cachekeeper.local.table import render
from cachekeeper.settings import PREFIX, default_state
from demo.morning import Morning
from demo.pace import Pace
from demo.phone import taken_along
from demo.readers import COMMAND
from demo.score import Check
from demo.screen import Screen, introduce, summarise
from demo.stage import Options, Stage
from demo.watching import watched

ALREADY_RUNNING = 3
FAULTS_SHOWN = 20
GIVEN = (f"{PREFIX}BROKER_URL", f"{PREFIX}CACHE_URL")

library_option = click.option(
    "--library", type=click.Path(path_type=Path), help="A folder of yours; it is only ever read."
)


@click.group()
@click.pass_context
def main(context: click.Context) -> None:
    """Play a morning of several devices with a real folder of files."""
    context.ensure_object(Pace)


@main.command()
@library_option
@click.option("--state", type=click.Path(path_type=Path), help="Folder of everything written.")
@click.pass_obj
def run(pace: Pace, library: Path | None, state: Path | None) -> None:
    """Play the morning, then stay up and watch until Ctrl-C."""
    console, folder = Console(), state or Path(os.environ.get(f"{PREFIX}STATE", default_state()))
    if running := read_running(folder):
        console.print(render(running, State(folder)), highlight=False, soft_wrap=True, markup=False)
        sys.exit(ALREADY_RUNNING)
    servers = {name: os.environ[name] for name in GIVEN if name in os.environ}
    options = Options(folder, library, servers=servers)
    try:
        with Stage(options) as stage:
            _play(stage, pace, console)
            _watch(stage, console)
    except KeyboardInterrupt:
        console.print("stopped")


@main.command()
@library_option
@click.pass_obj
def check(pace: Pace, library: Path | None) -> None:
    """Play the morning on a state of its own; exits with 0 only if every check holds."""
    sys.exit(0 if play_once(library, pace=pace) else 1)


def play_once(
    library: Path | None = None,
    reader: tuple[str, ...] = COMMAND,
    pace: Pace = Pace(),  # noqa: B008  # it is frozen
) -> bool:
    """A whole morning on a temporary state; whether every check held."""
    console = Console()
    with (
        tempfile.TemporaryDirectory(prefix="cachekeeper-demo-") as folder,
        Stage(Options(Path(folder), library, reader)) as stage,
    ):
        verdict = _play(stage, pace, console)
    held = all(check.holds for check in verdict)
    console.print("every check holds" if held else "[bold red]a check fails[/]")
    return held


def _play(stage: Stage, pace: Pace, console: Console) -> list[Check]:
    introduce(stage, console)
    table = render(stage.running, stage.state)
    console.print(table, highlight=False, soft_wrap=True, markup=False)
    stage.begin()
    morning = Morning(stage, pace)
    with Screen(console) as screen:
        tally = morning.play(screen.show)
    verdict = [*morning.verdict(), taken_along(stage)]
    for fault in tally.faults[:FAULTS_SHOWN]:
        console.print(f"[red]{escape(fault)}[/]", soft_wrap=True)
    summarise(tally.proofs, verdict, console)
    console.print(f"Flower: {stage.running.flower_url}")
    return verdict


def _watch(stage: Stage, console: Console) -> None:
    invitation = f"\nedit any file in {stage.library} and watch (Ctrl-C stops everything)"
    console.print(invitation, soft_wrap=True, markup=False)
    stopped = Event()
    stage.when_up_ends(stopped.set)
    for line in watched(stage, stopped):
        console.print(line, highlight=False, soft_wrap=True, markup=False)
    console.print("stopped")


def start(pace: Pace | None = None) -> None:
    """The command line; errors of ours are one line."""
    # TERM, like Ctrl-C, takes everything down in order.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        main(obj=pace)
    except CachekeeperError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    start()
