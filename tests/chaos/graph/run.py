"""One run and its judgement, as figures."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from tests.chaos.graph.explain import explain, values
from tests.chaos.graph.judge import Verdict, judge
from tests.chaos.graph.pressure import PRESSED
from tests.chaos.graph.site import Plan, Site

SHOWN = 12


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run came to, and in words what was wrong."""

    verdict: Verdict
    figures: dict[str, Any]
    said: list[str]


def run(plan: Plan, keep: Path | None = None) -> Outcome:
    """Do it all; the history stays if a folder is given."""
    with tempfile.TemporaryDirectory(prefix="cachekeeper-chaos-") as temporary:
        with Site((keep or Path(temporary)) / f"run-{plan.seed}", plan) as site:
            seconds = site.run()
            met = site.graph() | json.loads((site.history / PRESSED).read_text())
        verdict = judge(site.history)
        said = [
            f"stale: {stale.read} of doc:{stale.doc} after {stale.forbidden}"
            for stale in verdict.stale_shown
        ]
        if verdict.left:
            known = values(site.history)
            for left in verdict.left_shown[:SHOWN]:
                said += explain(left, known)
    return Outcome(verdict, figures(verdict, plan, seconds) | {"met": met}, said)


def figures(verdict: Verdict, plan: Plan, seconds: float) -> dict[str, Any]:
    """The run as plain JSON."""
    before = sum(left["there_before"] for left in verdict.left_shown)
    return {
        "reads": verdict.reads,
        "stale": verdict.stale,
        "made": verdict.made,
        "changes": dict(sorted(verdict.changes.items())),
        "invalidations_looked_at": verdict.looks,
        "records_looked_at": verdict.looked_at,
        "left": verdict.left,
        "left_there_before": before,
        "went_on_in_background": verdict.went_on,
        "purged_p50_ms": round(1000 * median(verdict.took_s or [0.0]), 1),
        "seconds": round(seconds, 1),
        "producers": plan.producers,
        "seed": plan.seed,
    }
