"""``records``: what became of past requests, from a terminal."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import click

from cachekeeper.cli.opened import json_option, open_cache
from cachekeeper.cli.output import output_option, write
from cachekeeper.cli.receipt import record_lines
from cachekeeper.cli.told import ago, one_line, seconds
from cachekeeper.cli.up import state_option
from cachekeeper.core.receipt import Receipt, Status
from cachekeeper.core.strategy import Consistency, Strategy

Command = TypeVar("Command", bound=Callable[..., object])

LISTED = 50
WAIT_S = 10.0
#: Characters of what a table shows of each.
ID_SHOWN = 32
BY_SHOWN = 24
NAMES_SHOWN = 40
REASON_SHOWN = 60
COLUMNS = [field.name for field in fields(Receipt)]


def _one_of(kind: type[StrEnum]) -> click.Choice[str]:
    return click.Choice([each.value for each in kind])


def selectors(command: Command) -> Command:
    """What records can be told by."""
    options = (
        click.option("--status", type=_one_of(Status), multiple=True),
        click.option("--strategy", type=_one_of(Strategy), multiple=True),
        click.option("--consistency", type=_one_of(Consistency), multiple=True),
        click.option("--key", default="", help="This key was asked for or affected."),
        click.option("--name", default="", help="With this text in a name that was asked for."),
        click.option("--by", default="", help="With this text in who asked."),
        click.option(
            "--since",
            "since_s",
            callback=seconds,
            help="Asked for at most this long ago: 90s, 15m, 2h, 1d.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.group()
def records() -> None:
    """Look at what became of invalidations, for as long as they are kept (record_s, an hour).

    Tells of the newest first. Options that select hold together; one that is given several times
    holds for any of its values. A record lists at most 100 names and 100 affected keys.
    """


@records.command("list")
@selectors
@click.option("--limit", type=click.IntRange(1), default=LISTED, show_default=True)
@state_option
@json_option
def list_records(limit: int, state: Path | None, as_json: bool, **selected: Any) -> None:
    """List records."""
    with open_cache(state) as cache:
        found = cache.records(**selected)
        shown = list(islice(found, limit))
        more = next(found, None) is not None
    if as_json:
        told = {"more": more, "records": [json.loads(receipt.to_json()) for receipt in shown]}
        click.echo(json.dumps(told, indent=1))
        return
    for line in _table(shown):
        click.echo(line)
    if more:
        click.echo(f"… more than {limit:,}: see --limit, or `records export`", err=True)


@records.command()
@click.argument("request_id", metavar="ID")
@state_option
@json_option
def show(request_id: str, state: Path | None, as_json: bool) -> None:
    """Show all of a record."""
    with open_cache(state) as cache:
        receipt = cache.receipt(request_id).read()
    _tell(receipt, as_json=as_json)


@records.command()
@click.argument("request_id", metavar="ID")
@click.option(
    "--timeout", type=click.FloatRange(0), default=WAIT_S, show_default=True, help="Seconds."
)
@click.option("--purged", is_flag=True, help="Until the bytes are gone, too.")
@state_option
@json_option
def wait(request_id: str, timeout: float, purged: bool, state: Path | None, as_json: bool) -> None:
    """Wait until a request has ended, whoever made it, and show its record.

    Exits with 0 when it is done; with 1 when it failed, is unknown or goes on after the timeout.
    """
    with open_cache(state) as cache:
        receipt = cache.receipt(request_id).wait(timeout, purged=purged)
    _tell(receipt, as_json=as_json)
    sys.exit(0 if receipt.status is Status.DONE else 1)


@records.command()
@selectors
@click.option(
    "--format",
    "form",
    type=click.Choice(["jsonl", "csv"]),
    default="jsonl",
    show_default=True,
    help="A JSON object a line, or a table whose lists are JSON.",
)
@output_option
@state_option
def export(form: str, output: str, state: Path | None, **selected: Any) -> None:
    """Write records for other programs, each as soon as it is read."""
    with open_cache(state) as cache:
        found = cache.records(**selected)
        write(output, _csv(found) if form == "csv" else (r.to_json() for r in found))


def _tell(receipt: Receipt, *, as_json: bool) -> None:
    for line in [receipt.to_json()] if as_json else record_lines(receipt):
        click.echo(line)


def _table(receipts: list[Receipt]) -> Iterator[str]:
    if not receipts:
        yield "no records"
        return
    yield (
        f"{'id':<{ID_SHOWN}} {'age':>5} {'status':<7} {'strategy':<10} {'level':<8} "
        f"{'keys':>5}  {'by':<{BY_SHOWN}} names: reason"
    )
    for receipt in receipts:
        names = one_line(", ".join(receipt.names), NAMES_SHOWN)
        said = one_line(receipt.error or receipt.reason, REASON_SHOWN)
        yield (
            f"{receipt.id:<{ID_SHOWN}} {ago(receipt.submitted):>5} {receipt.status:<7} "
            f"{receipt.strategy:<10} {receipt.consistency:<8} {receipt.affected_count:>5}  "
            f"{one_line(receipt.by, BY_SHOWN):<{BY_SHOWN}} {names}{': ' if said else ''}{said}"
        )


def _csv(receipts: Iterable[Receipt]) -> Iterator[str]:
    """Lines of CSV (RFC 4180)."""
    row = io.StringIO()
    writer = csv.writer(row, lineterminator="")
    yield ",".join(COLUMNS)
    for receipt in receipts:
        told = json.loads(receipt.to_json())
        values = (told[name] for name in COLUMNS)
        writer.writerow([json.dumps(v) if isinstance(v, list | dict | bool) else v for v in values])
        yield row.getvalue()
        row.seek(0)
        row.truncate()
