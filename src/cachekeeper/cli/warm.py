"""``warm``: have files ready, on this site or on a device, and see how far that is."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from cachekeeper.cli.opened import json_option, open_cache
from cachekeeper.cli.told import one_line, span, when
from cachekeeper.cli.up import state_option
from cachekeeper.core.warming import WarmStatus

job_argument = click.argument("job", metavar="JOB")


class _Group(click.Group):
    """What is no subcommand is a target: ``warm photos`` is ``warm start photos``."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The subcommand that is meant."""
        if args and args[0] not in self.commands:
            args = ["start", *args]
        return super().resolve_command(ctx, args)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Options of ``start`` may stand in front of the targets."""
        if args and args[0].startswith("-") and args[0] not in ctx.help_option_names:
            args = ["start", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_Group)
def warm() -> None:
    """Have files ready before anybody asks for them.

    ``cachekeeper warm [--device ID] PATH|FOLDER|KEY...`` begins a job, which workers do. A folder
    is meant with all below it, ``.`` is all of the origin; of a key, such as an album's, the files
    that it was made from. ``warm start`` is the same, for what is called like a subcommand.
    """


@warm.command()
@click.option("--device", default="", metavar="ID", help="On this device; else on this site.")
@click.option("--wait", "wait_s", type=float, metavar="SECONDS", help="Wait until it has ended.")
@click.argument("targets", metavar="PATH|FOLDER|KEY...", nargs=-1, required=True)
@state_option
@json_option
def start(
    device: str, wait_s: float | None, targets: tuple[str, ...], state: Path | None, as_json: bool
) -> None:
    """Begin a job, and print its id."""
    with open_cache(state) as cache:
        handle = cache.device(device).warm(targets) if device else cache.warm(targets)
        status = handle.status() if wait_s is None else handle.wait(wait_s)
    _print(status, as_json=as_json)


@warm.command()
@job_argument
@state_option
@json_option
def status(job: str, state: Path | None, as_json: bool) -> None:
    """Show how far a job is."""
    with open_cache(state) as cache:
        _print(cache.warm_job(job).status(), as_json=as_json)


@warm.command("list")
@state_option
@json_option
def list_jobs(state: Path | None, as_json: bool) -> None:
    """Show every job, until a day after its end."""
    with open_cache(state) as cache:
        found = [cache.stores.warm.status(job) for job in cache.stores.warm.ids()]
    known = [each for each in found if each is not None]
    if as_json:
        click.echo(json.dumps([each.to_json() for each in known], indent=1))
        return
    for each in known:
        where = each.device or "site"
        click.echo(f"{each.id}  {each.state:<9}  {where:<16}  {_progress(each)}  {_targets(each)}")


@warm.command()
@job_argument
@state_option
def cancel(job: str, state: Path | None) -> None:
    """Have a job end within a file. Exits with 1 if it had ended."""
    with open_cache(state) as cache:
        done = cache.warm_job(job).cancel()
    click.echo(f"{job}: {'cancelled' if done else 'had ended'}", err=not done)
    sys.exit(0 if done else 1)


@warm.command("resume")
@job_argument
@state_option
def resume_job(job: str, state: Path | None) -> None:
    """Have a job go on that was cancelled or has stopped. Exits with 1 if it was neither."""
    with open_cache(state) as cache:
        done = cache.warm_job(job).resume()
    click.echo(f"{job}: {'goes on' if done else 'has not stopped'}", err=not done)
    sys.exit(0 if done else 1)


def _print(status: WarmStatus, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(status.to_json(), indent=1))
        return
    said = f": {one_line(status.reason, 300)}" if status.reason else ""
    click.echo(f"{status.id}  {status.state}{said}")
    click.echo(f"  for      {status.device or 'the site'}: {_targets(status)}")
    click.echo(f"  begun    {when(status.created)}")
    click.echo(f"  items    {_progress(status)}, {status.held:,} were there already")
    click.echo(f"  bytes    {status.bytes:,} of {status.total_bytes:,}")
    click.echo(f"  rate     {status.items_per_s:,.1f} files/s, {status.bytes_per_s:,.0f} bytes/s")
    if status.eta_s is not None:
        click.echo(f"  left     {span(status.eta_s)}")
    for why, count in sorted(status.failed.items()):
        click.echo(f"  failed   {count:,} {why}")


def _progress(status: WarmStatus) -> str:
    least = "" if status.listed or status.ended else "at least "
    return f"{status.done:,} of {least}{status.items:,}"


def _targets(status: WarmStatus) -> str:
    return one_line(", ".join(status.targets), 100)
