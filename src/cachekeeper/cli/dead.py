"""``dead``: the dead letters, from a terminal."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import click

from cachekeeper.cli.opened import json_option, open_cache
from cachekeeper.cli.told import ago, one_line, seconds, when
from cachekeeper.cli.up import state_option
from cachekeeper.client.dead import open_dead_letters
from cachekeeper.core.dead import Letter, Selection
from cachekeeper.errors import InvalidInput
from cachekeeper.services.dead import DeadLetterOffice

Command = TypeVar("Command", bound=Callable[..., object])

LISTED = 50
#: Characters of what a table shows of each.
NAMES_SHOWN = 40
REASON_SHOWN = 60


def selectors(command: Command) -> Command:
    """What letters can be told by."""
    options = (
        click.option("--filter", "text", help="With this text in the reason, the task, its names."),
        click.option("--reason", help="With this text in the reason."),
        click.option("--task", help="Of this task, by its whole name."),
        click.option(
            "--since", callback=seconds, help="Died at most this long ago: 90s, 15m, 2h, 1d."
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def choice(command: Command) -> Command:
    """Which letters something is done with: one has to say."""
    options = (
        click.option("--id", "ids", multiple=True, help="This one; may be given again."),
        selectors,
        click.option("--all", "everything", is_flag=True, help="All there are."),
        click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing."),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.group()
def dead() -> None:
    """Work that was given up: look at it, do it after all, or drop it.

    Tells of the newest first. Options that select hold together.
    """


@dead.command("list")
@selectors
@click.option("--limit", type=click.IntRange(1), default=LISTED, show_default=True)
@state_option
@json_option
def list_letters(limit: int, state: Path | None, as_json: bool, **selected: Any) -> None:
    """List dead letters."""
    with _office(state) as office:
        found = office.find(_selection(**selected))
        shown = list(islice(found, limit))
        more = sum(1 for _ in found)
        figures = office.figures()
    if as_json:
        told = {**figures, "more": more, "letters": [_plain(letter) for letter in shown]}
        click.echo(json.dumps(told, indent=1))
        return
    for line in _table(shown):
        click.echo(line)
    if more:
        click.echo(f"… {more:,} more", err=True)
    if figures["dropped"]:
        click.echo(f"limit: {figures['dropped']:,} old letters were dropped for room", err=True)


@dead.command()
@click.argument("letter_id", metavar="ID")
@state_option
@json_option
def show(letter_id: str, state: Path | None, as_json: bool) -> None:
    """Show all of a dead letter."""
    with _office(state) as office:
        (letter,) = office.find(Selection(ids=frozenset([letter_id])))
    if as_json:
        click.echo(json.dumps(_plain(letter), indent=1))
        return
    for line in _told(letter):
        click.echo(line)


@dead.command()
@choice
@state_option
def replay(state: Path | None, dry_run: bool, **chosen: Any) -> None:
    """Send the work of dead letters once more, as if it were new.

    A letter goes once its work is on its way; a request keeps its id, and its receipt begins anew.
    Exits with 1 if any that was meant could not be sent: it says why, and the letter stays.
    """
    selection = _chosen(**chosen)
    sent, refused = 0, 0
    with _office(state) as office:
        for letter in list(office.find(selection)):
            try:
                office.check(letter) if dry_run else office.replay(letter)
            except InvalidInput as error:
                refused += 1
                click.echo(f"refused {_line(letter)}\n  {error}", err=True)
            else:
                sent += 1
                click.echo(f"{'would replay' if dry_run else 'replayed'} {_line(letter)}")
    _sum_up("would be replayed" if dry_run else "replayed", sent, refused)
    sys.exit(1 if refused else 0)


@dead.command()
@choice
@state_option
def drop(state: Path | None, dry_run: bool, **chosen: Any) -> None:
    """Forget dead letters for good."""
    selection = _chosen(**chosen)
    dropped = 0
    with _office(state) as office:
        for letter in list(office.find(selection)):
            if dry_run or office.drop(letter):
                dropped += 1
                click.echo(f"{'would drop' if dry_run else 'dropped'} {_line(letter)}")
    _sum_up("would be dropped" if dry_run else "dropped", dropped, 0)


@contextmanager
def _office(state: Path | None) -> Iterator[DeadLetterOffice]:
    with open_cache(state) as cache:
        yield open_dead_letters(cache)


def _selection(
    *,
    ids: tuple[str, ...] = (),
    text: str | None,
    reason: str | None,
    task: str | None,
    since: float | None,
) -> Selection:
    return Selection(
        ids=frozenset(ids),
        text=text or "",
        reason=reason or "",
        task=task or "",
        since=0.0 if since is None else time.time() - since,
    )


def _chosen(*, everything: bool, **selected: Any) -> Selection:
    """As ``_selection``, but nothing given is not everything."""
    given = any(value not in (None, ()) for value in selected.values())
    if given == everything:
        raise click.UsageError(
            "say which: --all, or some of --id, --filter, --reason, --task, --since"
        )
    return _selection(**selected)


def _plain(letter: Letter) -> dict[str, Any]:
    return letter.told() | {"names": letter.names, "age_s": round(time.time() - letter.died, 1)}


def _line(letter: Letter) -> str:
    names = one_line(", ".join(letter.names), NAMES_SHOWN)
    return f"{letter.id}  {one_line(letter.task, NAMES_SHOWN) or '?'}  {names}".rstrip()


def _table(letters: list[Letter]) -> Iterator[str]:
    if not letters:
        yield "no dead letters"
        return
    yield f"{'id':<6} {'age':>5} {'kind':<9} {'tried':>5}  {'task':<27} names: reason"
    for letter in letters:
        names = one_line(", ".join(letter.names), NAMES_SHOWN)
        reason = one_line(letter.reason, REASON_SHOWN)
        yield (
            f"{letter.id:<6} {ago(letter.died):>5} {letter.kind:<9} {letter.attempts:>5}  "
            f"{one_line(letter.task, 27) or '?':<27} {names}: {reason}"
        )


def _told(letter: Letter) -> Iterator[str]:
    yield f"{letter.id}   {letter.kind}   {one_line(letter.task, 200) or 'not a task'}"
    yield f"  reason       {one_line(letter.reason, 4000)}"
    yield f"  attempts     {letter.attempts}"
    yield f"  first seen   {when(letter.first_seen)}"
    yield f"  died         {when(letter.died)}"
    if letter.names:
        yield f"  names        {one_line(', '.join(letter.names), 4000)}"
    for name, value in letter.work.items():
        if name != "task":
            said = one_line(json.dumps(value, ensure_ascii=False), 4000)
            yield f"  {one_line(name, 12):<12} {said}"


def _sum_up(what: str, done: int, refused: int) -> None:
    """Beside the output and not in it."""
    click.echo(f"{done:,} {what}" + (f", {refused:,} refused" if refused else ""), err=True)
