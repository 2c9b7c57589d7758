"""``why``: one key, from a terminal."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from cachekeeper.cli.opened import json_option, open_cache
from cachekeeper.cli.told import ago, one_line, span
from cachekeeper.cli.up import state_option
from cachekeeper.core.ports.pipeline import Cause
from cachekeeper.core.stamps import told
from cachekeeper.services.explain import Held, Why

TEXT = 4000  # characters of one line


@click.command()
@click.argument("key")
@state_option
@json_option
def why(key: str, state: Path | None, as_json: bool) -> None:
    """Show where KEY is held, what it was made from, and what happened to it last.

    If no tier holds it: why, as far as can be told. Nothing is changed by looking. The memory of
    other processes is not shown: each process has its own.
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
        yield _entry(held)
    if found.missing is not None:
        when = "" if found.missing.at is None else f" {ago(found.missing.at)} ago"
        yield f"  {found.missing.cause}{when}: {found.missing.said}"
    inputs = _some(found.derived_from, found.derived_from_count, "nothing cached")
    yield f"  derived from   {inputs}"
    if found.sources:
        named = ", ".join(map(told, found.sources))
        yield f"  stands on      {one_line(named, TEXT)}"
    yield f"  dependents     {_some(found.dependents, found.dependents_count, 'none')}"
    if found.pinned:
        yield "  pinned         in the memory of this process"
    for copy in found.devices:
        size = f", {copy.size:,} bytes" if copy.size else ""
        said = f" {copy.said}" if copy.said else ""
        yield f"  device {copy.device}   {copy.state} {ago(copy.at)} ago{size}{said}"
    yield from _last(found.last_invalidation)


def _entry(held: Held) -> str:
    left = f"expires in {held.expires_in_s:.0f} s" if held.expires_in_s >= 0 else "expired"
    stale = f"; stale: {one_line(held.stale, TEXT)}" if held.stale else ""
    return (
        f"  {held.tier:<6} {held.size:,} bytes, {held.age_s:.0f} s old, "
        f"{left}, as of epoch {held.as_of}{stale}"
    )


def _last(cause: Cause | None) -> Iterator[str]:
    if cause is None:
        yield "  last invalidation   none on record"
        return
    since = span(max(0.0, time.time() - cause.at))
    names = one_line(", ".join(map(told, cause.sources)), TEXT)
    yield f"  last invalidation   {since} ago, epoch {cause.epoch}, {cause.strategy}: {names}"
    reason = one_line(cause.reason, TEXT) or "no reason given"
    yield f"                      {reason} (request {cause.request})"
    if cause.by:
        yield f"                      by {one_line(cause.by, TEXT)}"


def _some(keys: Sequence[str], number: int, none: str) -> str:
    more = f", … {number - len(keys):,} more" if number > len(keys) else ""
    return f"{', '.join(keys) or none}{more}"


def _plain(found: Why) -> dict[str, Any]:
    cause = found.last_invalidation
    names = ("epoch", "request", "at", "strategy", "reason", "by", "sources")
    last = None if cause is None else {name: getattr(cause, name) for name in names}
    shallow = {f.name: getattr(found, f.name) for f in dataclasses.fields(found)}
    held = [dataclasses.asdict(each) for each in found.held]
    devices = [dataclasses.asdict(each) for each in found.devices]
    missing = None if found.missing is None else dataclasses.asdict(found.missing)
    more = {"held": held, "devices": devices, "missing": missing, "last_invalidation": last}
    return shallow | more
