"""The ``cachekeeper`` command. A new command is one line at the end."""

from __future__ import annotations

from typing import Any

import click

import cachekeeper
from cachekeeper.cli import (
    changes,
    dead,
    devices,
    graph,
    invalidate,
    model,
    records,
    simulate,
    up,
    warm,
    why,
    why_prefetched,
)
from cachekeeper.errors import CachekeeperError


class Commands(click.Group):
    """A group whose commands may raise our errors: each is one line and exit status 1."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except CachekeeperError as error:
            click.echo(f"error: {error}", err=True)
            ctx.exit(1)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(cachekeeper.__version__, prog_name="cachekeeper")
def main() -> None:
    """Keeps every cache of a home cloud warm, bounded and fresh."""


for command in (
    up.up,
    up.status,
    up.stop,
    why.why,
    invalidate.invalidate,
    changes.changed,
    changes.reconcile,
    graph.graph,
    dead.dead,
    devices.devices,
    records.records,
    simulate.simulate,
    model.model,
    why_prefetched.why_prefetched,
    warm.warm,
):
    main.add_command(command)
