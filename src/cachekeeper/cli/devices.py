"""``devices``: who may use the endpoint, what they hold, and what they keep whatever happens."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from cachekeeper.cli.opened import json_option, open_cache
from cachekeeper.cli.output import output_option, write
from cachekeeper.cli.told import one_line, when
from cachekeeper.cli.up import state_option
from cachekeeper.client.devices import DeviceDesk, open_devices
from cachekeeper.core.keys import check_device
from cachekeeper.core.pinlist import read_pins, write_pins
from cachekeeper.core.prefetching import DROPPED
from cachekeeper.errors import CachekeeperError

device_argument = click.argument("device", metavar="ID")
paths_argument = click.argument("paths", metavar="PATH", nargs=-1, required=True)


@click.group()
def devices() -> None:
    """Devices: give them tokens, see what they hold, pin files on them."""


@devices.command("list")
@state_option
@json_option
def list_devices(state: Path | None, as_json: bool) -> None:
    """Show every device: its files, bytes and pins, and since when it has a token."""
    with _desk(state) as desk:
        rows = [_figures(desk, device) for device in desk.ids()]
    if as_json:
        click.echo(json.dumps(rows, indent=1))
        return
    click.echo(
        f"{'device':<24} {'files':>7} {'bytes':>15} {'pinned':>15} {'quota':>15}  token since"
    )
    for row in rows:
        since = when(row["token_since"]) if row["token_since"] else "-"
        figures = f"{row['files']:>7,} {row['bytes']:>15,} {row['pinned']:>15,} {row['quota']:>15,}"
        click.echo(f"{row['device']:<24} {figures}  {since}")


@devices.command()
@device_argument
@click.option("--renew", is_flag=True, help="In place of the token that it has.")
@state_option
def add(device: str, renew: bool, state: Path | None) -> None:
    """Let a device use the endpoint, and print its token.

    It is shown this once and kept nowhere: who has lost it takes another with --renew.
    """
    with _desk(state) as desk:
        token = desk.enrolment.add(device, renew=renew)
    click.echo(token)
    click.echo(f"{device} proves by this token that it is {device}; it is shown once", err=True)


@devices.command()
@device_argument
@state_option
def revoke(device: str, state: Path | None) -> None:
    """Take a device's token away. What it holds stays; exits with 1 if it had none."""
    with _desk(state) as desk:
        done = desk.enrolment.revoke(device)
    click.echo(f"{device}: revoked" if done else f"{device}: has no token", err=not done)
    sys.exit(0 if done else 1)


@devices.command()
@device_argument
@paths_argument
@state_option
def pin(device: str, paths: tuple[str, ...], state: Path | None) -> None:
    """Keep files on a device whatever else it reads, fetching what it does not hold.

    Exits with 1 if any can't be pinned.
    """
    with _desk(state) as desk:
        sys.exit(0 if _pin_all(desk, device, paths) else 1)


@devices.command()
@device_argument
@paths_argument
@state_option
def unpin(device: str, paths: tuple[str, ...], state: Path | None) -> None:
    """Let files be evicted again."""
    with _desk(state) as desk:
        for path in paths:
            done = desk.pinner.unpin(device, path)
            click.echo(f"{'unpinned' if done else 'was not pinned'} {one_line(path, 500)}")


@devices.command()
@device_argument
@state_option
@json_option
def pins(device: str, state: Path | None, as_json: bool) -> None:
    """Show what is pinned on a device."""
    with _desk(state) as desk:
        found = desk.pinner.pins(device)
    if as_json:
        click.echo(json.dumps(found, indent=1))
        return
    for path, size in found.items():
        click.echo(f"{size:>15,}  {one_line(path, 500)}")
    click.echo(f"{sum(found.values()):>15,}  bytes in {len(found):,} pins", err=True)


@devices.command()
@device_argument
@state_option
@json_option
def prefetch(device: str, state: Path | None, as_json: bool) -> None:
    """Show what was prefetched for a device, how much of it was read, and what was dropped."""
    with _desk(state) as desk:
        stores = desk.cache.stores
        counters = stores.devices.ledger(check_device(device)).counters
        found = stores.prefetches.usefulness(device)
    row: dict[str, Any] = {
        "prefetched": counters.get("prefetched", 0),
        "used": counters.get("prefetch_used", 0),
        "wasted": counters.get("prefetch_wasted", 0),
        "state": found.state if found else "open",
        "usefulness": found.usefulness if found else None,
        "threshold": found.threshold if found else None,
        "dropped": {
            name.removeprefix(DROPPED): count
            for name, count in sorted(counters.items())
            if name.startswith(DROPPED)
        },
    }
    if as_json:
        click.echo(json.dumps(row, indent=1))
        return
    click.echo(
        f"fetched   {row['prefetched']:,}: {row['used']:,} read, {row['wasted']:,} left unread"
    )
    if found:
        share = f"{100 * found.usefulness:.0f} % of the last ones were of use"
        click.echo(f"throttle  {found.state}: {share}; fetched from {found.threshold:.2f} on")
    for why, count in row["dropped"].items():
        click.echo(f"dropped   {count:,} {why}")


@devices.command()
@click.argument("ids", metavar="[ID]...", nargs=-1)
@output_option
@state_option
def export(ids: tuple[str, ...], output: str, state: Path | None) -> None:
    """Write the pins of these devices, or of all, as JSON."""
    with _desk(state) as desk:
        chosen = [check_device(device) for device in ids] or desk.ids()
        found = {device: list(desk.pinner.pins(device)) for device in chosen}
    write(output, [write_pins({device: paths for device, paths in found.items() if paths})])


@devices.command("import")
@click.argument("file", type=click.File(encoding="utf-8"))
@state_option
def import_pins(file: Any, state: Path | None) -> None:
    """Pin what an export lists, beside what is pinned already.

    Nothing is done if the file is malformed. Exits with 1 if any could not be pinned.
    """
    given = read_pins(file.read())
    with _desk(state) as desk:
        done = [_pin_all(desk, device, paths) for device, paths in given.items()]
    sys.exit(0 if all(done) else 1)


@contextmanager
def _desk(state: Path | None) -> Iterator[DeviceDesk]:
    with open_cache(state) as cache:
        yield open_devices(cache)


def _figures(desk: DeviceDesk, device: str) -> dict[str, Any]:
    ledger = desk.cache.stores.devices.ledger(device)
    return {
        "device": device,
        "files": ledger.items,
        "bytes": ledger.used,
        "pinned": ledger.pinned,
        "quota": desk.cache.device_caches.limits(device).quota,
        "token_since": desk.cache.stores.tokens.since().get(device),
    }


def _pin_all(desk: DeviceDesk, device: str, paths: tuple[str, ...] | list[str]) -> bool:
    refused = 0
    for path in paths:
        try:
            size = desk.pinner.pin(device, path)
        except CachekeeperError as error:  # one that can't be had is not to keep the others
            refused += 1
            click.echo(f"refused {error}", err=True)
        else:
            click.echo(f"pinned {size:,} bytes on {device}  {one_line(path, 500)}")
    return not refused
