"""Whether anything grew, got slow, or was left.

Warm-up is of a process: the first seconds of its life, in which it fills its caches and imports
what it needs. What was restarted begins anew. The figure of a stretch is its median, so that a
moment decides nothing; of descriptors and threads the least: what comes and goes is no leak.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Final, NamedTuple

from tests.soak import world
from tests.soak.samples import Sample, Who

GROWTH_AT_MOST: Final = 0.10  # of resident memory, after warm-up
FEW: Final = 5  # threads and descriptors more than before are no leak yet
P50_AT_MOST: Final = 1.5  # times what it was
P99_AT_MOST: Final = 2.5
STRETCH: Final = 0.2  # of the time looked at: what is compared, at its begin and its end
LEAST_SAMPLES: Final = 10
LEAST_LINES: Final = 15
#: After a fault, so long a second says nothing of how fast it is.
SHAKEN_S: Final = 6.0
#: A process that is looked at for less than this after its warm-up says nothing of growth.
LEAST_S: Final = 60.0


class Change(NamedTuple):
    """What a figure was after warm-up, and at the end."""

    name: str
    before: float
    after: float

    @property
    def ratio(self) -> float:
        """How much of what it was it is now."""
        return self.after / self.before if self.before else 1.0


@dataclass(frozen=True, slots=True)
class Life:
    """One process after its warm-up."""

    who: Who
    seconds: float
    rss: Change
    fds: Change
    threads: Change

    @property
    def wrong(self) -> list[str]:
        """What grew."""
        found = []
        if self.rss.ratio > 1 + GROWTH_AT_MOST:
            sizes = f"{self.rss.before / 1e6:.1f} to {self.rss.after / 1e6:.1f} MB"
            found.append(f"{self.who.name} ({self.who.pid}): memory grew from {sizes}")
        for what, change in (("descriptors", self.fds), ("threads", self.threads)):
            if change.after > change.before * (1 + GROWTH_AT_MOST) + FEW:
                told = f"{what} grew from {change.before:g} to {change.after:g}"
                found.append(f"{self.who.name} ({self.who.pid}): {told}")
        return found


def lives(samples: Sequence[Sample], warm_s: float) -> list[Life]:
    """Every process that was there for long enough to tell."""
    by_who = defaultdict(list)
    for sample in samples:
        for who, size in sample.processes.items():
            if sample.at > who.began + warm_s:
                by_who[who].append((sample.at, size))
    found = []
    for who, sized in by_who.items():
        seconds = sized[-1][0] - sized[0][0]
        if len(sized) >= LEAST_SAMPLES and seconds >= LEAST_S:
            rss = _change("rss", [float(size.rss) for _, size in sized])
            fds = _change("fds", [float(size.fds) for _, size in sized], min)
            threads = _change("threads", [float(size.threads) for _, size in sized], min)
            found.append(Life(who, seconds, rss, fds, threads))
    return sorted(found, key=lambda life: (life.who.name, life.who.began))


def latencies(
    lines: Iterable[Mapping[str, Any]], faults: Sequence[float], warm_until: float
) -> list[tuple[Change, Change]]:
    """By kind of call: (p50, p99), of seconds that no fault had shaken."""
    p50s, p99s = defaultdict[str, list[float]](list), defaultdict[str, list[float]](list)
    for line in sorted(lines, key=lambda line: float(line["at"])):
        at = line["at"]
        if at > warm_until and not any(fault <= at < fault + SHAKEN_S for fault in faults):
            for kind, found in line["ms"].items():
                p50s[kind].append(found["p50"])
                p99s[kind].append(found["p99"])
    kinds = [kind for kind, found in p50s.items() if len(found) >= LEAST_LINES]
    return [(_change(kind, p50s[kind]), _change(kind, p99s[kind])) for kind in sorted(kinds)]


def slower(found: Iterable[tuple[Change, Change]]) -> list[str]:
    """What takes longer than it did."""
    wrong = []
    for p50, p99 in found:
        for what, change, most in (("p50", p50, P50_AT_MOST), ("p99", p99, P99_AT_MOST)):
            if change.ratio > most:
                told = f"{change.before:.2f} ms to {change.after:.2f} ms"
                wrong.append(f"{change.name}: {what} went from {told}")
    return wrong


def beyond(keys: Mapping[str, int], *, forgotten: bool = True) -> list[str]:
    """Kinds of keys of which there are more than the data, once all is quiet.

    Unless it is long enough ago that they are ``forgotten``, those that go after a while may stay.
    """
    return [
        f"{count} keys {kind}, at most {most}"
        for kind, count in sorted(keys.items())
        if count > (most := _most(kind)) and (forgotten or kind not in GONE_LATE)
    ]


def _most(kind: str) -> int:
    """How many keys of a kind there may be when nothing goes on."""
    if kind in {"value", "binding", "graph:in", "graph:out"}:
        return world.KEYS
    if kind == "known":
        return world.FOLDERS + 1
    if kind == "device":
        return 15 * len(world.DEVICES)
    if kind in {"events", "history", "reports", "said"}:
        return len(world.DEVICES)
    if kind in {"pending", "contents", "contents_of", "prepared", "due"} | GONE | GONE_LATE:
        return 0
    return SINGLE.get(kind, 1)


#: Kinds that go with the last request.
GONE: Final = {"requests", "inflight", "attempts", "lazy"}
#: Kinds that go a while after the last request, or after the last value that names them.
GONE_LATE: Final = {
    "receipt", "records", "marked", "ended", "leftover",
    "group", "groups", "groups_of", "subgroups", "claim", "places", "away", "away_times",
}  # fmt: skip
#: Kinds of which there are a few whatever happens.
SINGLE: Final = {
    "dead": 3,
    "bell": 20,  # one that nobody waits for any more stays a minute
    "model": 5,
    "reconcile": 5,
}


def _change(
    name: str,
    found: Sequence[float],
    figure: Callable[[Sequence[float]], float] = median,
) -> Change:
    few = max(1, int(len(found) * STRETCH))
    return Change(name, figure(found[:few]), figure(found[-few:]))
