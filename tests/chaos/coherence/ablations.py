"""Each rule taken out in turn, under the faults that it is there for: stale reads must be found."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from tests.chaos.coherence import faults
from tests.chaos.coherence.cluster import Cluster, Plan
from tests.chaos.coherence.faults import Scene
from tests.chaos.coherence.removed import REMOVALS
from tests.chaos.coherence.run import Course, Outcome, run

#: How long a rule is missing: longer, when nothing was found. A race need not happen at once.
SECONDS: Final = (3.0, 6.0, 12.0, 24.0)


def cut_and_emptied(cluster: Cluster, chance: random.Random) -> None:
    """The server comes back empty, and soon, while a member that holds a lease is cut off."""
    with faults.cut(cluster, chance.choice(cluster.members), faults.some_cut(chance)):
        faults.restart(cluster, "without AOF")
        faults.sleep(chance, faults.LONG_S)


#: The faults that a rule is there for; a rule that is not named here needs none.
FAULTS: Final[dict[str, Sequence[Scene]]] = {
    "acknowledgements": (faults.slow_network, faults.pause_short),
    "waiting for leases": (faults.cut_short, faults.cut_long),
    "lease": (faults.cut_long,),
    "incarnations": (faults.restore, faults.restart_without_aof),
    "grace": (cut_and_emptied,),
    "drop at fork": (faults.fork,),
}
#: Rules whose absence shows only after a while, by the seconds to begin with.
SLOW: Final = {"those declared too late": 20.0, "eventual marks": 14.0, "relaxed marks": 45.0}
#: Rules of what goes through beat and the workers.
QUEUED: Final = ("marks of what waited",)
#: Caught at once: what the short form tries, and for how long.
QUICK: Final = ("drop from memory", "declared dependencies")
QUICK_S: Final = (2.0, 6.0, 18.0)


class Caught(NamedTuple):
    """What the checker found with a rule taken out."""

    rule: str
    reads: int
    stale: int


def ablate(rule: str, seconds: float, seed: int = 1) -> Outcome:
    """A run without a rule."""
    scenes = FAULTS.get(rule, ())
    queue = rule in QUEUED
    plan = Plan(members=3, seed=seed, queue=queue, write_pause_s=0.03, ablation=rule)
    quiet_s = 0.5 if scenes else seconds
    faults_s = seconds if scenes else 0.0
    return run(plan, Course(quiet_s, faults_s, scenes=scenes, gap_s=(0.3, 1.0)))


def ablate_all(
    rules: Iterable[str] = tuple(REMOVALS), seed: int = 1, attempts: Sequence[float] = SECONDS
) -> Iterator[Caught]:
    """Runs without each, until one has found something."""
    for rule in rules:
        found = Caught(rule, 0, 0)
        for attempt, seconds in enumerate(attempts):
            if not found.stale:
                least = SLOW.get(rule, 0.0)
                verdict = ablate(rule, max(seconds, least), seed + attempt).verdict
                found = Caught(rule, verdict.reads, verdict.stale)
        yield found
