"""The judgement: no stale read, and no bytes left of what was there."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

from cachekeeper.core.strategy import CONSISTENCIES, Consistency
from tests.chaos.graph.history import Change, Look, Made, Read, lines, reads
from tests.chaos.graph.world import Register

SHOWN: Final = 20


class Stale(NamedTuple):
    """A read that gave an older version than it was allowed to."""

    read: Read
    doc: int
    forbidden: Change


@dataclass
class Verdict:
    """What a history comes to."""

    reads: int = 0
    stale: int = 0
    stale_shown: list[Stale] = field(default_factory=list)
    changes: Counter[str] = field(default_factory=Counter)
    made: int = 0
    looks: int = 0  # invalidations after which was looked
    looked_at: int = 0  # records that were there before one of them
    left: int = 0
    left_shown: list[dict[str, Any]] = field(default_factory=list)
    went_on: int = 0  # purges that went on in the background
    took_s: list[float] = field(default_factory=list)


class Rules:
    """From when on a version of a document may not be read any more."""

    def __init__(self, changes: Iterable[Change]) -> None:
        self._of: dict[int, list[Change]] = defaultdict(list)
        for change in changes:
            if change.status == "done":
                self._of[change.doc].append(change)
        self._known: dict[tuple[int, int], tuple[float, Change | None]] = {}

    def since(self, doc: int, version: int) -> tuple[float, Change | None]:
        """From when on, and by which change."""
        if (doc, version) not in self._known:
            self._known[doc, version] = self._soonest(doc, version, -math.inf)
        return self._known[doc, version]

    def since_declared(self, doc: int, version: int, holds: float) -> tuple[float, Change | None]:
        """The same for what was declared to hold since a moment (0: never)."""
        return self._soonest(doc, version, holds) if holds else (math.inf, None)

    def _soonest(self, doc: int, version: int, after: float) -> tuple[float, Change | None]:
        later = (
            (change.returned + CONSISTENCIES[Consistency(change.consistency)].delay_s, change)
            for change in self._of[doc]
            if change.version > version and change.called > after
        )
        return min(later, key=lambda found: found[0], default=(math.inf, None))


def judge(folder: Path) -> Verdict:
    """Judge the history in a folder."""
    verdict, register = Verdict(), Register(folder / "register")
    changes = [Change(*line) for line in lines(folder, "changes")]
    for change in changes:
        verdict.changes[f"{change.strategy} {change.consistency} {change.status}"] += 1
    rules = Rules(changes)
    limits: dict[int, tuple[float, int, Change | None]] = {}
    for line in lines(folder, "made"):
        made = Made(*line)
        verdict.made += 1
        limits[made.value] = _limit(made, rules, register)
    for read in reads(folder):
        verdict.reads += 1
        since, doc, forbidden = limits[read.value]
        if read.begin > since and forbidden is not None:
            verdict.stale += 1
            if len(verdict.stale_shown) < SHOWN:
                verdict.stale_shown.append(Stale(read, doc, forbidden))
    for line in lines(folder, "looks"):
        look = Look(*line)
        verdict.looks += 1
        verdict.looked_at += look.there
        verdict.left += len(look.left)
        verdict.left_shown += look.left
        verdict.went_on += look.went_on
        verdict.took_s.append(look.took_s)
    return verdict


def _limit(made: Made, rules: Rules, register: Register) -> tuple[float, int, Change | None]:
    found = [(*rules.since(doc, version), doc) for doc, version in made.docs]
    found += [
        (*rules.since_declared(doc, version, register.holds_since(slot)), doc)
        for slot, doc, version in made.declared
    ]
    since, change, doc = min(found, key=lambda each: each[0], default=(math.inf, None, -1))
    return since, doc, change
