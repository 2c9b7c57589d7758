"""What a benchmark found: a table for people, one line of JSON for machines."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table

from bench.harness import Spread
from bench.machine import Machine

WIDTH = 100


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure; ``what`` says what was measured, beside what."""

    key: str
    value: float
    what: str
    unit: str = ""
    spread: Spread | None = None  # over rounds; None: counted, not timed

    @classmethod
    def median(cls, key: str, spread: Spread, what: str, unit: str = "") -> Figure:
        """The median of several rounds."""
        return cls(key, spread.median, what, unit, spread)


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that one benchmark found."""

    bench: str
    machine: Machine
    quick: bool
    sizes: Mapping[str, int]
    figures: list[Figure]
    #: What is no plain number, by its key in the JSON object.
    more: Mapping[str, object] = field(default_factory=dict)

    def to_json(self) -> dict[str, object]:
        """Figures at the top; their spreads, the sizes and the machine below."""
        return {
            "bench": self.bench,
            "quick": self.quick,
            **{figure.key: figure.value for figure in self.figures},
            **self.more,
            "spread": {f.key: [f.spread.low, f.spread.high] for f in self.figures if f.spread},
            "sizes": dict(self.sizes),
            "machine": self.machine.to_json(),
        }


def print_table(report: Report) -> None:
    """The figures, then what they were taken on."""
    table = Table(title=f"bench {report.bench}", title_justify="left", expand=True)
    table.add_column("figure", no_wrap=True)
    table.add_column("median", justify="right", no_wrap=True)
    table.add_column("lowest to highest", justify="right", no_wrap=True)
    table.add_column("what", ratio=1)
    for figure in report.figures:
        table.add_row(figure.key, _value(figure), _spread(figure), figure.what)
    console = Console(width=WIDTH)
    console.print(table)
    sizes = ", ".join(f"{name.replace('_', ' ')} {size:,}" for name, size in report.sizes.items())
    console.print(
        f"{'Quick, smaller sizes' if report.quick else 'Sizes'}: {sizes}.", highlight=False
    )
    console.print(f"{report.machine}.", highlight=False)


def print_json(report: Report) -> None:
    """The one line that a program reads."""
    print(json.dumps(report.to_json(), allow_nan=False))


def _value(figure: Figure) -> str:
    return f"{_number(figure.value)} {figure.unit}".rstrip()


def _spread(figure: Figure) -> str:
    spread = figure.spread
    return f"{_number(spread.low)} to {_number(spread.high)}" if spread else "counted"


def _number(value: float) -> str:
    if float(value).is_integer() or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.2f}"
