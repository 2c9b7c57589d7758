"""``simulate``: what quotas and eviction policies would have made of recorded accesses."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from cachekeeper.cli.opened import json_option, open_cache
from cachekeeper.cli.output import write
from cachekeeper.cli.quota import Quota
from cachekeeper.cli.told import one_line, span
from cachekeeper.cli.traces import read_trace
from cachekeeper.cli.up import state_option
from cachekeeper.core.keys import check_device
from cachekeeper.core.policy import POLICIES, make
from cachekeeper.core.policy.chart import Row, chart
from cachekeeper.core.policy.recorded import from_events
from cachekeeper.core.policy.simulation import Misses
from cachekeeper.core.policy.simulation import simulate as play
from cachekeeper.core.policy.trace import Trace
from cachekeeper.errors import InvalidInput

QUOTAS = ("1%", "5%", "10%", "25%", "50%")
NAME_SHOWN = 40
EVENTS = 1000  # as many as a device keeps
HEAD = f"  {'QUOTA':<22}{'POLICY':<11}{'REQUESTS':>9}{'BYTES':>9}{'COST':>9}"


@dataclass(frozen=True, slots=True)
class Found:
    """What came of one policy within one quota."""

    quota: Quota
    capacity: int
    policy: str
    misses: Misses


@click.command()
@click.argument("traces", metavar="[TRACE]...", nargs=-1, type=click.Path(path_type=Path))
@click.option("--device", help="What this device read last, instead of a TRACE or beside it.")
@click.option(
    "--quota",
    "quotas",
    multiple=True,
    default=QUOTAS,
    show_default=True,
    help="500M, 1GiB, or a share of all objects such as 10%.",
)
@click.option(
    "--policy",
    "policies",
    multiple=True,
    type=click.Choice(list(POLICIES)),
    help="How to choose what goes.  [default: all]",
)
@click.option("--plot", type=click.Path(dir_okay=False), help="Draw hit ratios too, as SVG.")
@state_option
@json_option
def simulate(
    traces: tuple[Path, ...],
    device: str | None,
    quotas: tuple[str, ...],
    policies: tuple[str, ...],
    plot: str | None,
    state: Path | None,
    as_json: bool,
) -> None:
    """Show what would have been missed, by quota and policy.

    A TRACE is a CSV file (*.csv or *.csv.gz) with the columns ts, key and size: seconds, a name,
    bytes. Nothing is changed, and no server is needed but for --device.
    """
    limits = list(dict.fromkeys(map(Quota.parse, quotas)))
    names = list(dict.fromkeys(policies or POLICIES))
    if not traces and device is None:
        raise InvalidInput("trace", "", "a file, or --device with the id of a device")
    recorded = [read_trace(path) for path in traces]
    if device is not None:
        recorded.append(_of_device(check_device(device), state))
    found = [(trace, _played(trace, limits, names)) for trace in recorded]
    if as_json:
        click.echo(json.dumps({"traces": [_as_json(*each) for each in found]}, indent=1))
    else:
        click.echo("\n\n".join("\n".join(_table(*each)) for each in found))
    if plot is not None:
        write(plot, [chart([_row(*each) for each in found])])


def _played(trace: Trace, quotas: Sequence[Quota], policies: Sequence[str]) -> list[Found]:
    by_size = sorted(quotas, key=lambda quota: quota.of(trace))
    runs = [(quota, policy) for quota in by_size for policy in policies]
    length, label = len(trace) * len(runs), one_line(trace.name, NAME_SHOWN)
    hidden = not sys.stderr.isatty()
    with click.progressbar(length=length, label=label, file=sys.stderr, hidden=hidden) as bar:
        return [
            Found(
                quota,
                capacity := quota.of(trace),
                policy,
                play(make(policy, capacity), trace, bar.update),
            )
            for quota, policy in runs
        ]


def _table(trace: Trace, found: Sequence[Found]) -> Iterator[str]:
    """Misses; the least cost within each quota has a star."""
    least: dict[Quota, float] = {}
    for each in found:
        least[each.quota] = min(each.misses.cmr, least.get(each.quota, 1.0))
    objects = len(trace.largest)
    length_s = trace.times[-1] - trace.times[0]
    yield (
        f"{one_line(trace.name, NAME_SHOWN)}   {len(trace):,} requests of {objects:,} objects, "
        f"{_bytes(trace.footprint)} in all, within {span(length_s)}"
    )
    yield f"  misses in percent; {objects / len(trace):.1%} of the requests are first ones"
    if not trace.sized:
        yield "  no sizes are known: each object counts as one byte"
    yield HEAD
    for each in found:
        quota = (
            each.quota.text if each.quota.size else f"{each.quota.text:<6}{_bytes(each.capacity)}"
        )
        misses = each.misses
        figures = "".join(f"{100 * share:>9.1f}" for share in (misses.omr, misses.bmr, misses.cmr))
        star = " *" if misses.cmr == least[each.quota] else ""
        yield f"  {quota:<22}{each.policy:<11}{figures}{star}"


def _as_json(trace: Trace, found: Sequence[Found]) -> dict[str, Any]:
    return {
        "name": trace.name,
        "requests": len(trace),
        "objects": len(trace.largest),
        "footprint": trace.footprint,
        "requested": trace.requested,
        "found": [
            {
                "quota": each.quota.text,
                "capacity": each.capacity,
                "policy": each.policy,
                **each.misses.to_json(),
            }
            for each in found
        ],
    }


def _row(trace: Trace, found: Sequence[Found]) -> Row:
    by_policy = {
        policy: [each.misses for each in found if each.policy == policy]
        for policy in dict.fromkeys(each.policy for each in found)
    }
    return Row(trace.name, list(dict.fromkeys(each.quota.text for each in found)), by_policy)


def _of_device(device: str, state: Path | None) -> Trace:
    """What is on record of a device. Raises InvalidInput: nothing is."""
    with open_cache(state) as cache:
        events = cache.stores.devices.events(device, EVENTS)
        held = cache.stores.devices.manifest(device)
    sizes = {path: entry.size for path, entry in held.items()}
    recorded = from_events(f"device {device}", reversed(events), sizes)
    if recorded is None:
        raise InvalidInput("device", device, "a device that has read something")
    trace = recorded.trace
    told = f"{len(trace):,} accesses are on record of {device} (it keeps {EVENTS:,} events)"
    click.echo(f"note: {told}: too few to choose by, unless it reads little.", err=True)
    if recorded.guessed:
        told = f"the sizes of {recorded.guessed:,} of {len(trace.largest):,} files are not known"
        click.echo(f"note: {told}, since it does not hold them: the mean is taken.", err=True)
    return trace


def _bytes(size: int) -> str:
    """A size in decimal units."""
    value, unit = float(size), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if value < 1000:
            break
        value, unit = value / 1000, larger
    return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
