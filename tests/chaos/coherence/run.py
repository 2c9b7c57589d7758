"""One run: a quiet time, then faults, then the judgement."""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.chaos.coherence import faults
from tests.chaos.coherence.check import Verdict, judge
from tests.chaos.coherence.cluster import Cluster, Plan
from tests.chaos.coherence.faults import ALL, Scene
from tests.chaos.coherence.history import Edge, Fault, Write

TEND_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class Course:
    """How a run goes: each fault once, and on until there was enough time and enough reads."""

    quiet_s: float = 5.0
    faults_s: float = 0.0
    reads: int = 0
    scenes: Sequence[Scene] = ALL
    gap_s: tuple[float, float] = (0.1, 1.0)
    lanes: int = 1


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run came to."""

    verdict: Verdict
    writes: list[Write]  # since everything ran
    edges: list[Edge]
    faults: list[Fault]
    seconds: float
    plan: Plan


def run(plan: Plan, course: Course, folder: Path | None = None) -> Outcome:
    """Do it all; the history stays if a folder is given."""
    with tempfile.TemporaryDirectory(prefix="cachekeeper-chaos-") as temporary:
        with Cluster((folder or Path(temporary)) / f"run-{plan.seed}", plan) as cluster:
            cluster.await_all()
            begin = time.monotonic()
            wait(cluster, course.quiet_s)
            _throw(cluster, course)
            seconds = time.monotonic() - begin
        verdict, writes, edges = judge(cluster.history)
        counted = [write for write in writes if write.called >= begin]
        return Outcome(verdict, counted, edges, cluster.faults, seconds, plan)


def _throw(cluster: Cluster, course: Course) -> None:
    end = time.monotonic() + course.faults_s
    lanes = faults.lanes(course.scenes, course.lanes)

    def enough() -> bool:
        return time.monotonic() > end and cluster.reads() >= course.reads

    def play(number: int) -> None:
        chance, scenes = random.Random(f"{cluster.plan.seed} {number}"), lanes[number]
        while True:
            for scene in chance.sample(scenes, len(scenes)):
                if scene in played and enough():
                    return
                faults.play(cluster, scene, chance)
                played.add(scene)
                time.sleep(chance.uniform(*course.gap_s))
            if enough():
                return

    played: set[Scene] = set()
    with ThreadPoolExecutor(len(lanes)) as pool:
        playing = [pool.submit(play, number) for number, scenes in enumerate(lanes) if scenes]
        while not all(lane.done() for lane in playing):
            wait(cluster, TEND_S)
        for lane in playing:
            lane.result()


def wait(cluster: Cluster, seconds: float) -> None:
    """Let it run, and replace what dies."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        cluster.tend()
        time.sleep(min(left, TEND_S))
