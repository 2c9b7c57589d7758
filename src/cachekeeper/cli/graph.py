"""``graph``: the dependency graph, from a terminal.

What draws and searches is imported by the command that needs it: it stands on networkx, which a
producer's installation does without, and `cachekeeper --help` should not wait for it.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from cachekeeper.cli.opened import json_option, open_cache
from cachekeeper.cli.output import output_option, write
from cachekeeper.cli.up import state_option
from cachekeeper.core.keys import check_key
from cachekeeper.errors import InvalidInput
from cachekeeper.local.services import require_extras

if TYPE_CHECKING:
    from cachekeeper.core.graph.neighbourhood import Graph

Command = TypeVar("Command", bound=Callable[..., object])

#: Edges to follow, and keys to show, unless told.
DEPTH = 5
LISTED = 200
EXPORTED = 10_000
DRAWN_DEPTH = 2
DRAWN = 60


def reach_options(depth: int, limit: int) -> Callable[[Command], Command]:
    """How far a command looks from its key."""

    def with_options(command: Command) -> Command:
        edges = click.option(
            "--depth", type=int, default=depth, show_default=True, help="Edges to follow."
        )
        keys = click.option(
            "--limit", type=int, default=limit, show_default=True, help="Keys to show at most."
        )
        return edges(keys(command))

    return with_options


@click.group()
def graph() -> None:
    """Look at what was derived from what.

    A key whose value is gone may be shown until the graph is refreshed.
    """
    require_extras()


@graph.command()
@state_option
@json_option
def stats(state: Path | None, as_json: bool) -> None:
    """Show the figures of the last refresh, and how old they are."""
    with open_cache(state) as cache:
        figures = cache.stores.graph.statistics()
    refreshed = figures.pop("refreshed", None)
    age_s = None if refreshed is None else time.time() - refreshed
    if built := figures.pop("snapshot_built", None):
        figures["snapshot_age_s"] = round(time.time() - built, 1)
    if age_s is None:
        with _current(state) as found:
            figures = {"nodes": len(found), "edges": found.number_of_edges()}
    if as_json:
        click.echo(json.dumps({"age_s": age_s, **figures}, indent=1))
        return
    told = "not refreshed yet: counted just now" if age_s is None else f"as of {age_s:.0f} s ago"
    click.echo(f"dependency graph   {told}")
    for name, value in figures.items():
        click.echo(f"  {name.replace('_', ' '):<16} {value:>12,.10g}")


@graph.command()
@click.argument("key")
@reach_options(DEPTH, LISTED)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "dot", "graphml"]),
    default="text",
    show_default=True,
    help="A tree, or for other programs.",
)
@output_option
@state_option
def dependents(
    key: str, depth: int, limit: int, form: str, output: str, state: Path | None
) -> None:
    """Show what was derived from KEY, and from that in turn.

    A key that several lead to is expanded once. What is left out is counted. `picture` draws it.
    """
    from cachekeeper.core.graph.neighbourhood import around
    from cachekeeper.core.graph.tree import tree

    with _current(state) as found:
        near = around(found, check_key(key), depth=depth, limit=limit, sources=False)
    write(output, tree(near) if form == "text" else _lines(form, near.graph))
    _say(near.limits)


@graph.command()
@click.argument("key")
@reach_options(DRAWN_DEPTH, DRAWN)
@output_option
@state_option
def picture(key: str, depth: int, limit: int, output: str, state: Path | None) -> None:
    """Draw KEY with what it was derived from and what from it, as SVG."""
    from cachekeeper.core.graph.neighbourhood import around
    from cachekeeper.core.graph.picture import MAX_DRAWN, drawn

    if limit > MAX_DRAWN:
        raise InvalidInput("limit", limit, f"1 to {MAX_DRAWN} keys in a picture")
    with _current(state) as found:
        near = around(found, check_key(key), depth=depth, limit=limit)
    write(output, [drawn(near)])
    _say(near.limits)


@graph.command("why-connected")
@click.argument("a")
@click.argument("b")
@state_option
@json_option
def why_connected(a: str, b: str, state: Path | None, as_json: bool) -> None:
    """Show how B was derived from A, by the shortest ways.

    Exits with 1 when it was not; says so if it is the other way round.
    """
    from cachekeeper.core.graph.ways import SEARCHED, shortest_ways

    with _current(state) as found:
        ways = shortest_ways(found, check_key(a, "a"), check_key(b, "b"))
        reverse = None if ways.number else shortest_ways(found, b, a)
    if as_json:
        told = {"ways": ways.shown, "number": ways.number, "gave_up": ways.gave_up}
        click.echo(json.dumps(told | {"reverse": reverse.shown if reverse else []}, indent=1))
    elif reverse is None:
        _chains(ways.shown, ways.number)
    elif reverse.number:
        click.echo(f"no way from {a} to {b}; it is the other way round:")
        _chains(reverse.shown, reverse.number)
    elif ways.gave_up or reverse.gave_up:
        click.echo(f"no way found between {a} and {b} among the {SEARCHED:,} keys next to them")
    else:
        click.echo(f"neither of {a} and {b} was derived from the other")
    sys.exit(0 if ways.number else 1)


@graph.command()
@click.option(
    "--format",
    "form",
    type=click.Choice(["dot", "graphml", "json"]),
    default="dot",
    show_default=True,
    help="GraphML and JSON are as networkx reads them.",
)
@click.option("--key", help="Only what is around this key, both ways.  [default: everything]")
@reach_options(DEPTH, EXPORTED)
@output_option
@state_option
def export(
    form: str, key: str | None, depth: int, limit: int, output: str, state: Path | None
) -> None:
    """Write the graph, or with --key a part of it, for other programs.

    Depth and limit are those of a part; everything is always whole.
    """
    from cachekeeper.core.graph.neighbourhood import around

    with _current(state) as found:
        if key is None:
            write(output, _lines(form, found))
            return
        near = around(found, check_key(key), depth=depth, limit=limit)
    write(output, _lines(form, near.graph))
    _say(near.limits)


@contextmanager
def _current(state: Path | None) -> Iterator[Graph]:
    """The graph as it is now."""
    from cachekeeper.client.graph import open_graph

    with open_cache(state) as cache, open_graph(cache).current() as found:
        yield found


def _lines(form: str, found: Graph) -> Iterator[str]:
    from cachekeeper.core.graph import exchange

    return {"dot": exchange.dot, "graphml": exchange.graphml, "json": exchange.node_link}[form](
        found
    )


def _say(limits: list[str]) -> None:
    """What is not shown, beside the output and not in it."""
    for limit in limits:
        click.echo(f"limit: {limit}", err=True)


def _chains(shown: list[list[str]], number: int) -> None:
    for way in shown:
        click.echo(" -> ".join(way))
    if number > len(shown):
        click.echo(f"… {number - len(shown):,} more of that length")
