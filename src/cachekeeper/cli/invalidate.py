"""``invalidate``, and what it would do."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from cachekeeper.cli.opened import json_option, open_cache
from cachekeeper.cli.receipt import receipt_lines
from cachekeeper.cli.up import state_option
from cachekeeper.client.looking import PREVIEWED
from cachekeeper.core.preview import Preview
from cachekeeper.core.receipt import Status
from cachekeeper.core.strategy import CONSISTENCIES, Consistency, Strategy
from cachekeeper.errors import ReceiptTimeout


@click.command()
@click.argument("keys", nargs=-1)
@click.option("--tag", help="Everything with this tag.")
@click.option("--namespace", help="Everything in this namespace.")
@click.option(
    "--strategy",
    type=click.Choice([s.value for s in Strategy]),
    default=Strategy.IMMEDIATE.value,
    show_default=True,
)
@click.option(
    "--consistency",
    type=click.Choice([c.value for c in Consistency]),
    default=Consistency.STRICT.value,
    show_default=True,
)
@click.option("--cascade/--no-cascade", default=True, help="With all that was derived from it.")
@click.option("--reason", default="by hand", show_default=True, help="Kept with the record.")
@click.option(
    "--by", default="", help="Who asks, for the record.  [default: host, process and program]"
)
@click.option(
    "--wait", type=float, default=10.0, show_default=True, help="Seconds to wait for the receipt."
)
@click.option("--dry-run", is_flag=True, help="Say what would be invalidated, and do nothing.")
@click.option(
    "--limit",
    type=int,
    default=PREVIEWED,
    show_default=True,
    help="Keys that --dry-run shows at most.",
)
@state_option
@json_option
def invalidate(
    keys: tuple[str, ...],
    tag: str | None,
    namespace: str | None,
    strategy: str,
    consistency: str,
    cascade: bool,
    reason: str,
    by: str,
    wait: float,
    dry_run: bool,
    limit: int,
    state: Path | None,
    as_json: bool,
) -> None:
    """Invalidate KEYS, a tag or a namespace in every tier, and print the receipt.

    Exits with 0 when it is done or waits for its batch, else with 1.
    """
    with open_cache(state) as cache:
        if dry_run:
            preview = cache.preview(
                keys,
                tag=tag,
                namespace=namespace,
                strategy=strategy,
                consistency=consistency,
                cascade=cascade,
                shown=limit,
            )
            for line in [preview.to_json()] if as_json else _preview_lines(preview):
                click.echo(line)
            return
        handle = cache.invalidate(
            keys,
            tag=tag,
            namespace=namespace,
            strategy=strategy,
            consistency=consistency,
            cascade=cascade,
            reason=reason,
            by=by,
        )
        try:
            receipt = handle.wait(wait, purged=True)
        except ReceiptTimeout:
            receipt = handle.read()
    for line in [receipt.to_json()] if as_json else receipt_lines(receipt):
        click.echo(line)
    sys.exit(0 if receipt.status in {Status.DONE, Status.PENDING} else 1)


def _preview_lines(preview: Preview) -> Iterator[str]:
    yield f"nothing is changed   {preview.strategy}, {preview.consistency}"
    deep = f", {preview.depth} edges deep" if preview.cascade else ", without what was derived"
    yield f"  would be stale  {preview.keys:,} keys{deep}"
    for step in preview.steps:
        yield f"    {step.key}{f'   from {step.reached_by}' if step.reached_by else ''}"
    for members in preview.members:
        looked = "" if members.complete else f" among {members.looked_at:,} keys looked at"
        yield f"  namespace       {members.namespace}: {members.found:,} keys are stored{looked}"
    for tier, weight in preview.held.items():
        yield f"  {tier:<14}  {weight.entries:,} entries, {weight.bytes:,} bytes"
    asked = "asked" if CONSISTENCIES[preview.consistency].verified else "told, and not waited for"
    yield f"  nodes           {len(preview.nodes)} would be {asked}"
    for limit in preview.limits:
        yield f"  limit           {limit}"
