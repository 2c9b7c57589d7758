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
from demo.readers import COMMAND
from demo.score import Check, checks
from demo.screen import Screen, introduce, summarise
from demo.stage import Options, Stage
from demo.watching import watched

ALREADY_RUNNING = 3
GIVEN = (f"{PREFIX}BROKER_URL", f"{PREFIX}CACHE_URL")

library_option = click.option(
    "--library", type=click.Path(path_type=Path), help="A folder of yours; it is only ever read."
)


@click.group()
def main() -> None:
    """Play a morning of several devices with a real folder of files."""


@main.command()
@library_option
@click.option("--state", type=click.Path(path_type=Path), help="Folder of everything written.")
def run(library: Path | None, state: Path | None) -> None:
    """Play the morning, then stay up and watch until Ctrl-C."""
    console, folder = Console(), state or Path(os.environ.get(f"{PREFIX}STATE", default_state()))
    if running := read_running(folder):
        console.print(render(running, State(folder)), highlight=False, soft_wrap=True)
        sys.exit(ALREADY_RUNNING)
    servers = {name: os.environ[name] for name in GIVEN if name in os.environ}
    options = Options(folder, library, servers=servers)
    try:
        with Stage(options) as stage:
            _play(stage, console)
            _watch(stage, console)
    except KeyboardInterrupt:
        console.print("stopped")


@main.command()
@library_option
def check(library: Path | None) -> None:
    """Play the morning on a state of its own; exits with 0 only if every check holds."""
    sys.exit(0 if play_once(library) else 1)


def play_once(library: Path | None = None, reader: tuple[str, ...] = COMMAND) -> bool:
    """A whole morning on a temporary state; whether every check held."""
    console = Console()
    with (
        tempfile.TemporaryDirectory(prefix="cachekeeper-demo-") as folder,
        Stage(Options(Path(folder), library, reader)) as stage,
    ):
        verdict = _play(stage, console)
    held = all(check.holds for check in verdict)
    console.print("every check holds" if held else "[bold red]a check fails[/]")
    return held


def _play(stage: Stage, console: Console) -> list[Check]:
    introduce(stage, console)
    console.print(render(stage.running, stage.state), highlight=False, soft_wrap=True)
    stage.begin()
    morning = Morning(stage)
    with Screen(console) as screen:
        tally = morning.play(screen.show)
    verdict = checks(tally)
    for fault in tally.faults[:10]:
        console.print(f"[red]{escape(fault)}[/]", soft_wrap=True)
    summarise(tally.proofs, verdict, console)
    console.print(f"Flower: {stage.running.flower_url}")
    return verdict


def _watch(stage: Stage, console: Console) -> None:
    console.print(
        f"\nedit any file in {stage.library} and watch (Ctrl-C stops everything)", soft_wrap=True
    )
    stopped = Event()
    stage.when_up_ends(stopped.set)
    for line in watched(stage, stopped):
        console.print(escape(line), highlight=False, soft_wrap=True)
    console.print("stopped")


if __name__ == "__main__":
    # TERM, like Ctrl-C, takes everything down in order.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        main()
    except CachekeeperError as error:
        sys.exit(f"error: {error}")
