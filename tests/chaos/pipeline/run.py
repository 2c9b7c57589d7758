"""One run: requests and kills, then quiet until all has ended, then the judgement."""

from __future__ import annotations

import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

from cachekeeper.core.receipt import Receipt
from cachekeeper.core.strategy import Strategy
from cachekeeper.settings import Settings
from cachekeeper.store.redis.connection import Connection
from cachekeeper.store.redis.dead import RedisDeadLetters
from cachekeeper.store.redis.layout import Layout
from cachekeeper.store.redis.marks import parse
from cachekeeper.store.redis.records import RedisReceipts
from tests.chaos.pipeline import kills as scenes
from tests.chaos.pipeline.judge import Verdict, judge, promised
from tests.chaos.pipeline.kills import Kill
from tests.chaos.pipeline.sent import read
from tests.chaos.pipeline.site import Plan, Site
from tests.support import misplaced_keys

TEND_S: Final = 0.1
STARTED_S: Final = 60.0
#: Nothing may be stuck for longer: the silence after which a worker counts as dead, a batch's
#: deadline, and what a busy machine takes to start a worker.
DEADLINE_S: Final = 25.0
DRAINED_S: Final = 60.0
READ_AT_ONCE: Final = 500

Scene = Callable[[Site, random.Random], Kill | None]


@dataclass(frozen=True, slots=True)
class Course:
    """How it goes: pauses between kills, and kills of each kind at least."""

    gap_s: tuple[float, float] = (2.0, 8.0)
    rounds: int = 1


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run came to."""

    verdict: Verdict
    kills: list[Kill]
    left: list[str]  # in places that should be empty
    figures: dict[str, Any]


def run(plan: Plan, course: Course, keep: Path | None = None) -> Outcome:
    """Do it all; the history stays if a folder is given."""
    with tempfile.TemporaryDirectory(prefix="cachekeeper-chaos-") as temporary:
        folder = (keep or Path(temporary)) / f"run-{plan.seed}"
        with Site(folder, plan) as site:
            begin = time.monotonic()
            _await(site, lambda: any(True for _ in read(site.history)), STARTED_S)
            kills = _throw(site, course)
            return _conclude(site, kills, begin)


def _throw(site: Site, course: Course) -> list[Kill]:
    chance, kills, rounds = random.Random(site.plan.seed), list[Kill](), 0
    while site.sending or rounds < course.rounds:
        for scene in chance.sample(scenes.ALL, len(scenes.ALL)):
            _wait(site, chance.uniform(*course.gap_s))
            if kill := scene(site, chance):
                kills.append(kill)
            if not site.sending and rounds >= course.rounds:
                break
        rounds += 1
    return kills


def _conclude(site: Site, kills: list[Kill], begin: float) -> Outcome:
    settings, quiet = site.settings, time.monotonic()
    _await(site, lambda: not site.sending, STARTED_S)
    connection = Connection(settings.cache_url or "", settings.deployment)
    sent = list(read(site.history))
    ids = list({one.id for one in sent})
    promised_ids = {one.id for one in sent if promised(one, kills, site.plan.aof)}
    receipts = dict[str, Receipt]()

    def ended() -> bool:
        missing = [i for i in ids if i not in receipts or not receipts[i].ended]
        receipts.update(_receipts(connection, settings, missing))
        return all(i in receipts and receipts[i].ended for i in promised_ids)

    _await(site, ended, DRAINED_S, fails=False)
    _await(site, lambda: not _left(connection), DRAINED_S / 3, fails=False)
    drained = time.monotonic() - quiet
    with site.redis() as client:
        lines = [parse(*line) for line in client.xrange(connection.layout.log)]
        left = _left(connection) + misplaced_keys(client, settings.deployment)
    letters = list(RedisDeadLetters(connection).newest())
    connection.close()
    verdict = judge(
        sent,
        receipts,
        lines,
        letters,
        kills,
        aof=site.plan.aof,
        deadline_s=DEADLINE_S,
    )
    seconds = time.monotonic() - begin
    figures = _figures(site.plan, verdict, kills, left) | {
        "seconds": round(seconds, 1),
        "drained_s": round(drained, 1),
    }
    return Outcome(verdict, kills, left, figures)


def _receipts(connection: Connection, settings: Settings, ids: Sequence[str]) -> dict[str, Receipt]:
    found, layout = dict[str, Receipt](), connection.layout
    for start in range(0, len(ids), READ_AT_ONCE):
        some = ids[start : start + READ_AT_ONCE]
        raw = connection.redis.mget([layout.receipt(i) for i in some])
        found |= {i: Receipt.from_json(text) for i, text in zip(some, raw, strict=True) if text}
    stores = RedisReceipts(connection, settings.record_s)
    for i, receipt in found.items():
        if receipt.merged_into:
            found[i] = stores.load(i) or receipt
    return found


def _left(connection: Connection) -> list[str]:
    """What lies in places that are empty when there is nothing to do."""
    layout, client = connection.layout, connection.redis
    places = [layout.inflight, layout.requests, layout.attempts, layout.due, layout.due_work]
    for strategy in Strategy:
        places += [_of(layout, strategy) for _of in (Layout.pending, Layout.contents)]
        places.append(layout.contents_of(strategy))
    sizes = {"zset": client.zcard, "hash": client.hlen}
    found = [
        f"{place}: {sizes[kind](place)}"
        for place in places
        if (kind := client.type(place).decode()) in sizes
    ]
    before = time.time() - DEADLINE_S
    if hidden := client.zcount("unacked_index", "-inf", before):
        found.append(f"unacknowledged for more than {DEADLINE_S:g} s: {hidden}")
    return found


def _figures(
    plan: Plan, verdict: Verdict, kills: Sequence[Kill], left: Sequence[str]
) -> dict[str, Any]:
    recovery = [s for of_kind in verdict.recovery_s.values() for s in of_kind]
    return {
        "requests": verdict.requests,
        "aof": plan.aof,
        "seed": plan.seed,
        "killed": dict(Counter(kill.what for kill in kills)),
        "done": verdict.done,
        "merged": verdict.merged,
        "dead_letters": verdict.dead,
        "excused": verdict.excused,
        "lost": len(verdict.lost),
        "unmarked": len(verdict.unmarked),
        "failed_silently": len(verdict.silent),
        "duplicated": len(verdict.twice),
        "marked_again_in_new_incarnation": verdict.again,
        "late": len(verdict.late),
        "stuck": list(left),
        "longest_s": round(verdict.longest_s, 2),
        "recovery_p50_s": round(median(recovery or [0.0]), 2),
        "recovery_max_s": round(max(recovery, default=0.0), 2),
        "recovery_max_s_by_kill": {
            what: round(max(seconds), 2) for what, seconds in sorted(verdict.recovery_s.items())
        },
    }


def _wait(site: Site, seconds: float) -> None:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        site.tend()
        time.sleep(min(left, TEND_S))


def _await(site: Site, holds: Callable[[], bool], seconds: float, *, fails: bool = True) -> None:
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            if fails:
                raise TimeoutError(f"not within {seconds:g} s:\n{site.said()}")
            return
        _wait(site, TEND_S)
