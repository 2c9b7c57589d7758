"""``hitratio``: what eviction policies miss on recorded accesses, beside LRU.

Each policy plays each trace within 0.1, 1 and 10 % of the bytes of all its objects. What counts is
how much less is missed than by LRU, averaged over traces and sizes: of the cost where sizes are
known (a miss costs its bytes and three times the mean requested size), of the requests where they
are not. Nothing is timed, so nothing varies from run to run.

The traces are no part of the project: see docs/policies.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from statistics import fmean
from typing import Final

from bench.harness import Options, tell
from bench.machine import Machine
from bench.report import Figure, Report
from cachekeeper.cli.traces import read_trace, traces_in
from cachekeeper.core.policy import DEFAULT, POLICIES, make
from cachekeeper.core.policy.simulation import Misses, share_of, simulate
from cachekeeper.errors import InvalidInput
from cachekeeper.settings import TRACES

SHARES: Final = ("0.001", "0.01", "0.1")  # of the footprint
PEER: Final = "lru"
QUICK: Final = 25_000  # the first requests of each trace


@dataclass(frozen=True, slots=True)
class Played:
    """One trace: by policy and share of the footprint, what was missed."""

    name: str
    sized: bool
    requests: int
    found: dict[str, dict[str, Misses]]

    def reduction(self, policy: str) -> float:
        """How much less than the peer a policy misses, 0.1 for a tenth; the mean of the sizes."""
        return fmean(
            1 - self._counted(policy, share) / self._counted(PEER, share) for share in SHARES
        )

    def _counted(self, policy: str, share: str) -> float:
        misses = self.found[policy][share]
        return misses.cmr if self.sized else misses.omr

    def to_json(self) -> dict[str, object]:
        """By policy and share, the three ratios."""
        return {
            policy: {share: misses.to_json() for share, misses in by_share.items()}
            for policy, by_share in self.found.items()
        }


def run(options: Options) -> Report:
    """Play everything once. Raises InvalidInput: there are no traces, or one is malformed."""
    if options.traces is None:
        raise InvalidInput("traces", None, f"a folder, given by --traces or {TRACES}")
    limit = QUICK if options.quick else None
    played = _play_all(traces_in(options.traces), limit)
    sizes = {"traces": len(played), "requests": sum(each.requests for each in played)}
    if limit is not None:
        sizes["first_requests_of_each"] = limit
    figures: list[Figure] = []
    more: dict[str, object] = {"default": DEFAULT}
    for kind, measure in (("sized", "cmr"), ("unit", "omr")):
        chosen = [each for each in played if each.sized == (kind == "sized")]
        figures += _figures(kind, measure, chosen, more)
    more["traces"] = {each.name: each.to_json() for each in played}
    return Report("hitratio", Machine.here("no server"), options.quick, sizes, figures, more)


def _figures(
    kind: str, measure: str, played: Sequence[Played], more: dict[str, object]
) -> list[Figure]:
    """The default and the best of the others on traces of one kind; all of them into ``more``."""
    key = f"{kind}_{measure}_reduction"
    if not played:
        more |= {key: None, f"best_other_{kind}": None}
        return []
    means = {policy: fmean(each.reduction(policy) for each in played) for policy in POLICIES}
    best = max((policy for policy in POLICIES if policy != DEFAULT), key=means.__getitem__)
    more |= {f"best_other_{kind}_policy": best, f"{kind}_means": means}
    on = f"on {len(played)} traces with{'' if kind == 'sized' else 'out'} sizes"
    what = "cost of misses" if measure == "cmr" else "misses"
    return [
        Figure(key, means[DEFAULT], f"{DEFAULT}: {what} below {PEER}'s {on}; {_in_words(means)}"),
        Figure(f"best_other_{kind}", means[best], f"the same of {best}"),
    ]


def _in_words(means: dict[str, float]) -> str:
    return ", ".join(f"{policy} {100 * mean:.1f} %" for policy, mean in means.items())


def _play_all(paths: Sequence[Path], limit: int | None) -> list[Played]:
    """A process a core, largest trace first; in the order of the paths."""
    longest_first = sorted(paths, key=lambda path: path.stat().st_size, reverse=True)
    cores = Machine.here("").cores
    with ProcessPoolExecutor(cores, mp_context=get_context("spawn")) as pool:
        futures = {path: pool.submit(_play, path, limit) for path in longest_first}
        try:
            return [futures[path].result() for path in paths]
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _play(path: Path, limit: int | None) -> Played:
    trace = read_trace(path, limit)
    found: dict[str, dict[str, Misses]] = {}
    for policy in POLICIES:
        found[policy] = {
            share: simulate(make(policy, share_of(trace.footprint, float(share))), trace)
            for share in SHARES
        }
    tell(f"{trace.name}: {len(trace):,} requests of {len(trace.largest):,} objects")
    return Played(trace.name, trace.sized, len(trace), found)
