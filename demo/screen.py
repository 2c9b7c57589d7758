"""What people see: a live view where there is a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from demo.edits import Proof
from demo.morning import Morning
from demo.score import Check
from demo.stage import Stage

LINE_EVERY_S = 5.0
MEGABYTE = 1e6


class Screen:
    """Shows a morning while it plays."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, refresh_per_second=8, transient=True)
        self._progress = Progress(
            TextColumn("[bold]a morning"),
            BarColumn(None),
            TextColumn("{task.completed} of {task.total} changes"),
        )
        self._task = self._progress.add_task("", total=0)
        self._line_due = 0.0

    def show(self, morning: Morning) -> None:
        """Show how far it is."""
        if self._console.is_terminal:
            self._live.update(self._view(morning))
        elif time.monotonic() >= self._line_due:
            self._line_due = time.monotonic() + LINE_EVERY_S
            self._console.print(_line(morning), soft_wrap=True)

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def _view(self, morning: Morning) -> RenderableType:
        self._progress.update(self._task, total=morning.planned, completed=len(morning.proofs))
        return Group(
            self._progress, _reads(morning), _devices(morning), _prefetches(morning), _news(morning)
        )


def introduce(stage: Stage, console: Console) -> None:
    """Say what will be played, on what, and with which settings."""
    copied = stage.copied
    skipped = "".join(f", {n:,} left out ({why})" for why, n in copied.skipped.items())
    source = stage.options.library or "a sample library made for this"
    size = copied.bytes / MEGABYTE
    console.print(f"[bold]Cachekeeper[/] plays a morning with {escape(str(source))}")
    amount = f"  {copied.files:,} files, {size:.1f} MB{skipped}"
    console.print(f"{amount}, copied to {stage.library}", soft_wrap=True, markup=False)
    console.print("  settings of its own, all others as shipped (SPEC's defaults):")
    given = [f"{name} = {value}" for name, value in stage.settings.items()]
    for start in range(0, len(given), 3):
        console.print("    " + ", ".join(given[start : start + 3]))


def _line(morning: Morning) -> str:
    counters = morning.counters()
    fullest = max(morning.on_disk.values(), default=0) / morning.quota
    return (
        f"  {time.monotonic() - morning.began:4.0f} s  "
        f"{len(morning.proofs)}/{morning.planned} changes, "
        f"reads {', '.join(f'{name} {share:.0%}' for name, share in _shares(morning))}, "
        f"fullest device {fullest:.0%} of its quota, {counters.get('evictions', 0)} evictions, "
        f"{counters.get('prefetch_used', 0)} of {counters.get('prefetched', 0)} prefetches used"
    )


def _shares(morning: Morning) -> list[tuple[str, float]]:
    total = sum(morning.reads.values()) or 1
    return [(name, n / total) for name, n in morning.reads.items() if n or name != "bypass"]


def _reads(morning: Morning) -> RenderableType:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    shares = _shares(morning)
    table.add_row("reads from", *[f"{name} [cyan]{share:.0%}[/]" for name, share in shares])
    return table


def _devices(morning: Morning) -> RenderableType:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for device, held in sorted(morning.on_disk.items()):
        bar = ProgressBar(total=morning.quota, completed=held, width=40)
        amount = f"{held / MEGABYTE:.1f} of {morning.quota / MEGABYTE:.1f} MB"
        table.add_row(device, bar, amount)
    return table


def _prefetches(morning: Morning) -> RenderableType:
    counters = morning.counters()
    return Text(
        f"prefetched {counters.get('prefetched', 0)}, used {counters.get('prefetch_used', 0)}; "
        f"evicted {counters.get('evictions', 0)}"
    )


def _news(morning: Morning) -> RenderableType:
    table = Table(box=None, padding=(0, 2, 0, 0), title_justify="left", title="changes")
    for column in ("strategy", "what", "file", "until the last tier was clean"):
        table.add_column(column)
    for proof in list(morning.news):
        table.add_row(proof.strategy, proof.kind, escape(proof.path[-48:]), _duration(proof))
    return table


def _duration(proof: Proof) -> str:
    return "[red]never[/]" if proof.seconds is None else f"{1000 * proof.seconds:,.0f} ms"


def summarise(proofs: list[Proof], checks: list[Check], console: Console) -> None:
    """The summary: how long each strategy took, and the verdict."""
    table = Table(title="from a change to the last tier clean", title_justify="left")
    for column in ("strategy", "changes", "median", "longest"):
        table.add_column(column, justify="left" if column == "strategy" else "right")
    for strategy in dict.fromkeys(proof.strategy for proof in proofs):
        mine = [p for p in proofs if p.strategy is strategy]
        took = sorted(proof.seconds for proof in mine if proof.seconds is not None)
        if took:
            middle, last = took[len(took) // 2], took[-1]
            table.add_row(
                strategy, str(len(mine)), f"{1000 * middle:,.0f} ms", f"{1000 * last:,.0f} ms"
            )
    console.print(table)
    verdict = Table(title="checks", title_justify="left", show_header=False)
    for check in checks:
        mark = "[green]holds[/]" if check.holds else "[bold red]fails[/]"
        verdict.add_row(mark, check.name, check.figure)
    console.print(verdict)
