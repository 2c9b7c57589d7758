"""``model``: what the predictor has learnt, shown, exported, replaced and forgotten."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from cachekeeper.cli.opened import json_option, open_cache
from cachekeeper.cli.output import write
from cachekeeper.cli.up import state_option
from cachekeeper.core.predict.calibration import BINS
from cachekeeper.core.predict.exported import Learnt, read_model, write_model
from cachekeeper.core.predict.factors import class_rate
from cachekeeper.core.predict.rates import Rate
from cachekeeper.core.relations import Relation
from cachekeeper.errors import InvalidInput
from cachekeeper.store.redis.model import Kept

CLASSES_SHOWN = 12


@click.group()
def model() -> None:
    """The predictor: see what it has learnt, take it elsewhere, make it forget."""


@model.command()
@state_option
@json_option
def show(state: Path | None, as_json: bool) -> None:
    """Show how much is known, and how often each class of relations came true."""
    with open_cache(state) as cache:
        kept, learnt = cache.stores.model.kept(), cache.stores.model.learnt()
        most = cache.settings.model_items
    if as_json:
        click.echo(json.dumps(_plain(kept, learnt, most), indent=1))
        return
    click.echo(f"files        {kept.files:,} of at most {most:,}")
    click.echo(
        f"bytes        {kept.bytes:,} in Redis, {kept.bytes / max(1, kept.files):,.0f} a file"
    )
    click.echo(f"devices      {kept.devices:,} that read something within a day")
    click.echo(f"\n{'RELATION':<28}{'EXTENSIONS':<20}{'PREDICTED':>10}{'READ SOON':>11}")
    for name, rate in _most_tried(learnt)[:CLASSES_SHOWN]:
        kind, extensions = Relation(name[0]).told or "none", name[1:].replace(">", " > ")
        click.echo(f"{kind:<28}{extensions:<20}{rate.trials:>10,.0f}{class_rate(rate):>10.0%}")
    click.echo(f"\n{'WEIGHTED SUM':<15}{'PREDICTED':>10}{'READ SOON':>11}{'PROBABILITY':>13}")
    curve = learnt.calibration.curve()
    for number, each in enumerate(learnt.calibration.bins):
        if each.trials >= 1:
            span = f"{number / BINS:.2f} to {(number + 1) / BINS:.2f}"
            share = min(1.0, each.hits / each.trials)
            click.echo(f"{span:<15}{each.trials:>10,.0f}{share:>10.0%}{curve[number]:>13.2f}")


@model.command()
@click.argument("file", default="-", type=click.Path(dir_okay=False, allow_dash=True))
@state_option
def export(file: str, state: Path | None) -> None:
    """Write all that is known as JSON lines to FILE, or to standard output."""
    with open_cache(state) as cache:
        learnt = cache.stores.model.learnt()
    write(file, write_model(learnt))


@model.command("import")
@click.argument("file", type=click.File(encoding="utf-8"))
@state_option
def import_model(file: Any, state: Path | None) -> None:
    """Put what was exported in the place of what is known.

    The file is checked first, and replaces all at once: if a line is malformed, nothing changes.
    """
    with open_cache(state) as cache:
        try:
            learnt = read_model(file, cache.settings.model_items)
        except UnicodeDecodeError as error:
            raise InvalidInput("model", str(error), "text in UTF-8") from error
        cache.stores.model.replace(learnt)
    click.echo(f"{len(learnt.files):,} files are known now")


@model.command()
@click.confirmation_option(prompt="Forget all that was learnt?")
@state_option
def reset(state: Path | None) -> None:
    """Forget everything: nothing is prefetched until it is learnt anew."""
    with open_cache(state) as cache:
        gone = cache.stores.model.reset()
    click.echo(f"{gone:,} files are forgotten")


def _most_tried(learnt: Learnt) -> list[tuple[str, Rate]]:
    return sorted(learnt.classes.items(), key=lambda each: (-each[1].trials, each[0]))


def _plain(kept: Kept, learnt: Learnt, most: int) -> dict[str, Any]:
    bins, curve = learnt.calibration.bins, learnt.calibration.curve()
    return {
        "files": kept.files,
        "most_files": most,
        "bytes": kept.bytes,
        "devices": kept.devices,
        "classes": [
            {
                "relation": Relation(name[0]).told,
                "extensions": name[1:],
                "predicted": rate.trials,
                "read_soon": class_rate(rate),
            }
            for name, rate in _most_tried(learnt)
        ],
        "calibration": [
            {"from": number / BINS, "hits": each.hits, "trials": each.trials, "probability": p}
            for number, (each, p) in enumerate(zip(bins, curve, strict=True))
        ],
    }
