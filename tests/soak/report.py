"""The report of a run: a page with plots beside it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from tests.soak.judge import GROWTH_AT_MOST, P50_AT_MOST, P99_AT_MOST, SHAKEN_S
from tests.soak.plots import Points, plot
from tests.soak.run import Outcome
from tests.soak.samples import waiting

MB = 1e6
WRONG_SHOWN = 50


def write(outcome: Outcome, folder: Path) -> Path:
    """Write ``soak.md`` and its plots into a folder; returns the page."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, svg in _plots(outcome):
        (folder / f"soak-{name}.svg").write_text(svg)
    page = folder / "soak.md"
    page.write_text("\n".join(_page(outcome)) + "\n")
    return page


def _page(outcome: Outcome) -> Iterator[str]:
    plan, counts = outcome.plan, outcome.counts
    yield "# Soak\n"
    minutes = (outcome.samples[-1].at - outcome.began) / 60 if outcome.samples else 0.0
    yield f"{minutes:.1f} minutes, seed {plan.seed}, warm-up {plan.warm_s:g} s of a process's life."
    yield f"{len(outcome.faults)} faults; kills in the first {plan.kills_until:.0%} of the time.\n"
    wrong = outcome.wrong
    yield f"**{len(wrong)} wrong.**\n" if wrong else "**Nothing wrong.**\n"
    yield from (f"- {said}" for said in wrong[:WRONG_SHOWN])
    yield "\n## Memory, descriptors, threads\n"
    yield (
        f"At most {GROWTH_AT_MOST:.0%} more memory than after warm-up; of the server without its "
        "log of invalidations and its marks.\n"
    )
    yield from _table(
        [
            "process",
            "looked at (s)",
            "MB after warm-up",
            "MB at the end",
            "growth",
            "fds",
            "threads",
        ],
        [
            [
                life.who.name,
                f"{life.seconds:.0f}",
                f"{life.rss.before / MB:.1f}",
                f"{life.rss.after / MB:.1f}",
                f"{life.rss.ratio - 1:+.1%}",
                f"{life.fds.before:g} → {life.fds.after:g}",
                f"{life.threads.before:g} → {life.threads.after:g}",
            ]
            for life in outcome.lives
        ],
    )
    yield "\n![memory](soak-memory.svg)\n"
    yield "## Latencies\n"
    yield (
        f"Of seconds without a fault in the {SHAKEN_S:g} s before; at most {P50_AT_MOST:g} times "
        f"the p50 and {P99_AT_MOST:g} times the p99 of after warm-up.\n"
    )
    yield from _table(
        ["call", "p50 (ms)", "", "p99 (ms)", ""],
        [
            [p50.name, *(f"{each:.2f}" for each in (p50.before, p50.after, p99.before, p99.after))]
            for p50, p99 in outcome.latencies
        ],
    )
    yield "\n![latencies](soak-latencies.svg)\n"
    yield "## The server\n"
    peaks: Counter[str] = Counter()
    for sample in outcome.samples:
        for name, figure in sample.figures.items():
            peaks[name] = max(peaks[name], figure)
    first = next((sample.figures for sample in outcome.samples if sample.figures), {})
    yield from _table(
        ["figure", "at first", "most", "once quiet"],
        [
            [name, str(first.get(name, 0)), str(peaks[name]), str(outcome.figures.get(name, 0))]
            for name in peaks
            if peaks[name]
        ],
    )
    yield ""
    most_keys: Counter[str] = Counter()
    for sample in outcome.samples:
        most_keys |= sample.keys
    yield from _table(
        ["keys", "most", "once quiet"],
        [[kind, str(most), str(outcome.quiet[kind])] for kind, most in sorted(most_keys.items())],
    )
    yield "\n![keys](soak-keys.svg)\n\n![used memory](soak-server.svg)\n"
    yield "![queues](soak-queues.svg)\n"
    yield "## What happened\n"
    done = Counter(what for _, what in outcome.faults)
    yield from _table(["fault", "times"], [[what, str(n)] for what, n in sorted(done.items())])
    yield ""
    yield from _table(["count", "n"], [[what, str(n)] for what, n in sorted(counts.items())])


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(heads)} |"
    yield f"|{'---|' * len(heads)}"
    yield from (f"| {' | '.join(row)} |" for row in rows)


def _plots(outcome: Outcome) -> Iterator[tuple[str, str]]:
    events = [(at - outcome.began) / 60 for at, _ in outcome.faults]

    def minutes(at: float) -> float:
        return (at - outcome.began) / 60

    memory = defaultdict[str, list[tuple[float, float]]](list)
    for sample in outcome.samples:
        at = minutes(sample.at)
        for who, size in sample.processes.items():
            memory[f"{who.name} {who.pid}"].append((at, size.rss / MB))
    steady = {name: points for name, points in memory.items() if _lasts(points, outcome)}
    yield "memory", plot("Resident memory of each process", "MB", steady, events)
    server = [(minutes(s.at), s.figures["used_memory"] / MB) for s in outcome.samples if s.figures]
    yield "server", plot("used_memory of the server", "MB", {"used_memory": server}, events)
    keys = {
        kind: [(minutes(s.at), float(s.keys[kind])) for s in outcome.samples if s.figures]
        for kind in sorted({kind for sample in outcome.samples for kind in sample.keys})
    }
    many = {kind: points for kind, points in keys.items() if max(n for _, n in points) > 10}
    yield "keys", plot("Keys by kind", "keys", many, events)
    queues = defaultdict[str, list[tuple[float, float]]](list)
    for sample in outcome.samples:
        for name, length in waiting(sample.figures).items():
            queues[name].append((minutes(sample.at), float(length)))
    busy = {name: points for name, points in queues.items() if any(n for _, n in points)}
    yield "queues", plot("What waits", "messages and requests", busy, events)
    calls = defaultdict[str, list[tuple[float, float]]](list)
    for line in sorted(outcome.every_line, key=lambda line: float(line["at"])):
        for kind, found in line["ms"].items():
            calls[f"{kind} p50"].append((minutes(line["at"]), found["p50"]))
    yield "latencies", plot("p50 of each second", "ms", calls, events)


def _lasts(points: Points, outcome: Outcome) -> bool:
    """Whether a process was there for long enough to be drawn."""
    return points[-1][0] - points[0][0] > outcome.plan.seconds / 60 / 5
