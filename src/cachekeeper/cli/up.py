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

from cachekeeper.cli.origin import origin_lines, plain
from cachekeeper.cli.queues import queue_table
from cachekeeper.client.changes import changes_of_origin
from cachekeeper.client.queues import queue_watch
from cachekeeper.errors import Busy, CachekeeperError
from cachekeeper.local.deployment import run
from cachekeeper.local.logs import Console
from cachekeeper.local.services import application_root, require_extras
from cachekeeper.local.state import State, read_running, wait_gone
from cachekeeper.local.table import render
from cachekeeper.services.queues import Row
from cachekeeper.settings import CONFIG, Settings, load

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
        os.environ[CONFIG] = str(config.absolute())
    loaded = _settings(state)
    sys.exit(run(root, loaded, Console(sys.stdout, quiet=quiet)))


@click.command()
@state_option
@click.option("--json", "as_json", is_flag=True, help="For programs: up.json, and the queues.")
def status(state: Path | None, as_json: bool) -> None:
    """Show what runs where, and what waits in which queue. Exits with 1 if nothing runs.

    PENDING are the requests that wait for their batch. A queue's OLDEST is the age of the message
    that is taken next; ? if its producer did not say when it was sent.
    """
    settings = _settings(state)
    folder = State(settings.state)
    running = read_running(folder.folder)
    if running is None:
        click.echo(json.dumps(None) if as_json else f"nothing runs in {folder.folder}")
        sys.exit(1)
    rows, error = _queues(settings)
    told, lines = _origin(settings)
    if as_json:
        queues = None if error else [dataclasses.asdict(row) for row in rows]
        more = {"queues": queues, "origin": told}
        click.echo(json.dumps({**dataclasses.asdict(running), **more}, indent=1))
        return
    ready = "" if running.ready else ", and is not ready yet"
    click.echo(f"Cachekeeper runs in {folder.folder}{ready}\n\n{render(running, folder)}\n")
    click.echo(f"  queues: {error}" if error else queue_table(rows))
    for line in lines:
        click.echo(line)


def _queues(settings: Settings) -> tuple[list[Row], str]:
    """What waits where; else why that can't be told."""
    try:
        with queue_watch(settings) as watch:
            return watch.rows(), ""
    except CachekeeperError as error:  # the rest is worth to be shown all the same
        return [], str(error)


def _origin(settings: Settings) -> tuple[dict[str, Any] | None, list[str]]:
    """How the origin is followed: for programs, and in lines for people."""
    try:
        watched, swept = changes_of_origin(settings)
    except CachekeeperError:  # said of the queues already
        return None, []
    told = {"watchers": [dataclasses.asdict(each) for each in watched], "swept": plain(swept)}
    lines = list(origin_lines(watched, swept))
    return told, ["", *lines] if lines else []


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


def _settings(state: Path | None) -> Settings:
    given: dict[str, Any] = {"state": state} if state else {}
    return load(**given)
