"""``changed``: tell what changed in the origin. ``reconcile``: find what nobody told."""

from __future__ import annotations

import json
import sys
import time
import uuid
from pathlib import Path

import click

from cachekeeper.cli.opened import json_option, open_cache
from cachekeeper.cli.origin import plain, swept_lines
from cachekeeper.cli.receipt import receipt_lines
from cachekeeper.cli.up import state_option
from cachekeeper.client.changes import ChangeDesk
from cachekeeper.core.keys import check_path
from cachekeeper.core.receipt import Status
from cachekeeper.core.request import MAX_REASON, check_text
from cachekeeper.errors import InvalidInput
from cachekeeper.names import Task

#: As many as one task takes.
PATHS_AT_MOST = 1000
POLL_S = 0.05


@click.command()
@click.argument("paths", nargs=-1, required=True)
@click.option("--reason", default="by hand", show_default=True, help="Kept with the record.")
@click.option(
    "--wait", type=float, default=10.0, show_default=True, help="Seconds to wait for the receipt."
)
@state_option
@json_option
def changed(
    paths: tuple[str, ...], reason: str, wait: float, state: Path | None, as_json: bool
) -> None:
    """Tell that PATHS of the origin changed, came or went; of a folder, all that is in it.

    They are invalidated with all that was derived from them. Exits with 0 when that is done.
    """
    if len(paths) > PATHS_AT_MOST:
        raise InvalidInput("paths", f"{len(paths)} paths", f"at most {PATHS_AT_MOST} at a time")
    checked = [check_path(path.rstrip("/"), "PATHS") for path in paths]
    check_text("reason", reason, MAX_REASON)
    with open_cache(state) as cache:
        id = uuid.uuid4().hex
        cache.broker.send(Task.REPORT_CHANGES, {"paths": checked, "reason": reason, "id": id})
        end = time.monotonic() + wait
        while (found := cache.stores.receipts.load(id)) is None or not (found.ended):
            if time.monotonic() > end:
                click.echo(f"told, and not done after {wait:g} s", err=True)
                sys.exit(1)
            time.sleep(POLL_S)
    for line in [found.to_json()] if as_json else receipt_lines(found):
        click.echo(line)
    sys.exit(0 if found.status is Status.DONE else 1)


@click.command()
@click.option("--accept-gone", is_flag=True, help="Believe that what is held back is gone.")
@click.option(
    "--wait", type=float, default=60.0, show_default=True, help="Seconds to wait for its end."
)
@state_option
@json_option
def reconcile(accept_gone: bool, wait: float, state: Path | None, as_json: bool) -> None:
    """Sweep through the origin now, and invalidate what changed and nobody told.

    Exits with 0 when it has ended, and nothing is held back.
    """
    with open_cache(state) as cache:
        desk, begun = ChangeDesk(cache), time.time()
        if accept_gone:
            desk.accept()
        desk.sweep()
        end = time.monotonic() + wait
        while (swept := desk.swept()).phase or max(swept.finished, swept.failed) < begun:
            if time.monotonic() > end:
                click.echo(f"it goes on after {wait:g} s; `cachekeeper status` shows it", err=True)
                sys.exit(1)
            time.sleep(POLL_S)
    for line in [json.dumps(plain(swept))] if as_json else swept_lines(swept):
        click.echo(line)
    sys.exit(1 if swept.error or swept.held else 0)
