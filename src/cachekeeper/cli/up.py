"""``up``, ``status`` and ``stop``: the deployment on this machine."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import click

from cachekeeper import settings
from cachekeeper.errors import Busy
from cachekeeper.local.deployment import run
from cachekeeper.local.logs import Console
from cachekeeper.local.services import application_root, require_extras
from cachekeeper.local.state import State, read_running, wait_gone
from cachekeeper.local.table import render

#: Exit status of `up` where there is no application to run.
NO_APPLICATION = 2
#: Seconds that `stop` waits for the last process to be gone.
STOPPED_S = 30.0

_NO_APPLICATION = """\
error: this is the client library; the application that `up` runs is not part of it.
  Get it with either of
    git clone the repository of cachekeeper, and `make run` in it
    docker compose -f deploy/compose.yaml up, with the file from that repository"""

state_option = click.option(
    "--state",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of data, blobs and logs  [default: $XDG_STATE_HOME/cachekeeper]",
)


@click.command()
@state_option
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    help="TOML file of settings, for this command and all that it starts.",
)
@click.option("--quiet", is_flag=True, help="Leave the services' logs to their files.")
def up(state: Path | None, config: Path | None, quiet: bool) -> None:
    """Run all of it: server, workers, beat and Flower, until Ctrl-C.

    Exits with 0 when told to stop, 1 on an error, 2 where the application isn't there, and
    3 if it runs already on this state, whose table it prints.
    """
    root = application_root()
    if root is None:
        click.echo(_NO_APPLICATION, err=True)
        sys.exit(NO_APPLICATION)
    require_extras()
    if config:
        os.environ[settings.CONFIG] = str(config.absolute())
    loaded = _settings(state)
    sys.exit(run(root, loaded, Console(sys.stdout, quiet=quiet)))


@click.command()
@state_option
@click.option("--json", "as_json", is_flag=True, help="For programs: up.json as it is.")
def status(state: Path | None, as_json: bool) -> None:
    """Show what runs where. Exits with 1 if nothing does."""
    folder = State(_settings(state).state)
    running = read_running(folder.folder)
    if as_json:
        click.echo(json.dumps(dataclasses.asdict(running) if running else None, indent=1))
    elif running:
        ready = "" if running.ready else ", and is not ready yet"
        click.echo(f"Cachekeeper runs in {folder.folder}{ready}\n\n{render(running, folder)}")
    else:
        click.echo(f"nothing runs in {folder.folder}")
    sys.exit(0 if running else 1)


@click.command()
@state_option
def stop(state: Path | None) -> None:
    """Stop what runs, and wait until it has."""
    folder = _settings(state).state
    running = read_running(folder)
    if running is None and not State(folder).taken():
        click.echo(f"nothing runs in {folder}")
        return
    if running:
        os.kill(running.pid, signal.SIGTERM)
    if not wait_gone(folder, STOPPED_S):
        raise Busy(f"{folder}: something still runs after {STOPPED_S:g} s; see its logs")
    click.echo("stopped")


def _settings(state: Path | None) -> settings.Settings:
    given: dict[str, Any] = {"state": state} if state else {}
    return settings.load(**given)
