"""The command line: ``python -m bench NAME [--json] [--quick]``."""

from __future__ import annotations

import importlib
import signal
import sys
from pathlib import Path
from typing import Protocol, cast

import click

from bench import BENCHES
from bench.harness import Options
from bench.report import Report, print_json, print_table
from cachekeeper.errors import InvalidInput
from cachekeeper.settings import TRACES, nearest


class Bench(Protocol):
    """What a module of a benchmark has."""

    def run(self, options: Options) -> Report:
        """Measure everything once."""


def known(_: click.Context, parameter: click.Parameter, name: str) -> str:
    """The name of a benchmark; any other is refused with those that exist (exit status 2)."""
    if name not in BENCHES:
        message = f"{name!r} is unknown{nearest(name, set(BENCHES))} (known: {', '.join(BENCHES)})"
        raise click.BadParameter(message, param=parameter)
    return name


LIST = "\b\nNames:\n" + "\n".join(f"  {name:<12}{what}" for name, what in BENCHES.items())


@click.command(help=f"Run one benchmark against what it is compared with.\n\n{LIST}")
@click.argument("name", callback=known)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object as the last line.")
@click.option("--quick", is_flag=True, help="Smaller sizes; ends within 50 seconds.")
@click.option(
    "--traces",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    envvar=TRACES,
    help=f"Folder of recorded accesses.  [env: {TRACES}]",
)
def main(name: str, as_json: bool, quick: bool, traces: Path | None) -> None:
    """Run one benchmark and print what it found."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # and clean up
    bench = cast(Bench, importlib.import_module(f"bench.{name}"))
    try:
        report = bench.run(Options(quick=quick, traces=traces))
    except InvalidInput as error:
        raise click.UsageError(str(error)) from error
    print_table(report)
    if as_json:
        print_json(report)


if __name__ == "__main__":
    main(prog_name="python -m bench")
