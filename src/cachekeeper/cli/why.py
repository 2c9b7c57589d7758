"""``why``: one key, from a terminal."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from cachekeeper.cli.opened import json_option, open_cache
from cachekeeper.cli.up import state_option
from cachekeeper.services.explain import Why


@click.command()
@click.argument("key")
@state_option
@json_option
def why(key: str, state: Path | None, as_json: bool) -> None:
    """Show where KEY is held, what it was made from, and what happened to it last.

    The memory of other processes is not shown: each process has its own.
    """
    with open_cache(state) as cache:
        found = cache.why(key)
    if as_json:
        click.echo(json.dumps(_plain(found), indent=1))
        return
    for line in _told(found):
        click.echo(line)


def _told(found: Why) -> Iterator[str]:
    yield f"{found.key}   {found.state}"
    for held in found.held:
        yield (
            f"  {held.tier:<6} {held.size:,} bytes, {held.age_s:.0f} s old, "
            f"expires in {held.expires_in_s:.0f} s, as of epoch {held.as_of}"
        )
    yield f"  derived from   {', '.join(found.derived_from) or 'nothing cached'}"
    yield f"  dependents     {', '.join(found.dependents) or 'none'}"
    cause = found.last_invalidation
    if cause is None:
        yield "  last invalidation   none on record"
        return
    ago = time.time() - cause.at
    names = ", ".join(source.partition(":")[2] for source in cause.sources)
    yield f"  last invalidation   {ago:.0f} s ago, epoch {cause.epoch}, {cause.strategy}: {names}"
    yield f"                      {cause.reason or 'no reason given'} (request {cause.request})"


def _plain(found: Why) -> dict[str, Any]:
    cause = found.last_invalidation
    names = ("epoch", "request", "at", "strategy", "reason", "sources")
    told = None if cause is None else {name: getattr(cause, name) for name in names}
    shallow = {f.name: getattr(found, f.name) for f in dataclasses.fields(found)}
    held = [dataclasses.asdict(h) for h in found.held]
    return shallow | {"held": held, "last_invalidation": told}
