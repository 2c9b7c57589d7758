"""``why-prefetched``: what speaks for a file's being read soon, from a terminal."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from cachekeeper.cli.opened import json_option, open_cache
from cachekeeper.cli.told import ago, one_line, when
from cachekeeper.cli.up import state_option
from cachekeeper.services.why_prefetched import Evidence, WhyPrefetched
from cachekeeper.services.why_prefetched import why_prefetched as look_up

PATH_SHOWN = 40


@click.command("why-prefetched")
@click.argument("device")
@click.argument("path")
@state_option
@json_option
def why_prefetched(device: str, path: str, state: Path | None, as_json: bool) -> None:
    """Show what speaks for PATH to be read by DEVICE soon, and what became of it.

    A line for each file that the device read last: what that says of PATH as of now, from how much
    evidence. Exits with 0 in any case; nothing is changed by looking.
    """
    with open_cache(state) as cache:
        found = look_up(cache.stores.devices, cache.stores.predictor, device, path)
    if as_json:
        click.echo(json.dumps(_plain(found), indent=1))
        return
    for line in _told(found):
        click.echo(line)


def _told(found: WhyPrefetched) -> Iterator[str]:
    yield f"{one_line(found.path, 500)} on {found.device}   {_state(found)}"
    if not found.evidence:
        yield "  nothing speaks for it: the device read nothing else within a day"
        return
    yield (
        f"  {'AFTER':<{PATH_SHOWN}} {'READ':>5} {'PROBABLE':>9} {'PATTERN':>8} {'TIME':>6} "
        f"{'RELATION':>9}  {'ALL DEVICES':<12} {'THIS ONE':<9} RELATED BY"
    )
    for each in found.evidence:
        yield _line(each, "*" if each is found.best else " ")


def _state(found: WhyPrefetched) -> str:
    if found.fetched is None:
        return "is not held"
    how = "prefetched" if found.prefetched else "fetched when it was asked for"
    read = "not read since" if found.read is None else f"read since, last {ago(found.read)} ago"
    return f"{how} {when(found.fetched)}; {read}"


def _line(each: Evidence, mark: str) -> str:
    reason, said = each.reason, each.reason.prediction
    counted = f"{reason.followed} of {reason.reads}"
    own = f"{each.own.followed} of {each.own.reads}"
    return (
        f"{mark} {one_line(reason.after, PATH_SHOWN):<{PATH_SHOWN}} {ago(reason.at):>5} "
        f"{said.probability:>9.2f} {said.pattern:>8.2f} {said.time:>6.2f} "
        f"{said.relationship:>9.2f}  {counted:<12} {own:<9} {said.relation or '-'}"
    )


def _plain(found: WhyPrefetched) -> dict[str, Any]:
    return {
        "device": found.device,
        "path": found.path,
        "held": found.held,
        "by": found.by,
        "fetched": found.fetched,
        "read": found.read,
        "evidence": [
            {
                "after": each.reason.after,
                "at": each.reason.at,
                **{
                    name: value
                    for name, value in each.reason.prediction._asdict().items()
                    if name != "path"
                },
                "reads": each.reason.reads,
                "followed": each.reason.followed,
                "own_reads": each.own.reads,
                "own_followed": each.own.followed,
            }
            for each in found.evidence
        ],
    }
