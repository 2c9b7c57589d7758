"""One run: load and faults, then load alone, then quiet; then the judgement."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import redis

from cachekeeper.client.cache import Cache
from cachekeeper.services.device import RESERVATION_S
from cachekeeper.store.redis.layout import Layout
from tests.soak import faults as scenes
from tests.soak import judge, notes, samples, world
from tests.soak.samples import Sample
from tests.soak.stack import CLIENTS, SETTINGS, Stack
from tests.support import misplaced_keys

DRAINED_S: Final = 60.0
#: What expires with the last request has gone by then: receipts, and what a wide page was made of.
FORGOTTEN_S: Final = SETTINGS["RECORD_S"] + world.WIDE_S + 90.0
POLL_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Plan:
    """How long, and how often something breaks."""

    seconds: float = 1200.0
    warm_s: float = 120.0  # of a process's life
    sample_s: float = 3.0
    gap_s: tuple[float, float] = (6.0, 18.0)  # between faults
    kills_until: float = 0.5  # of the time: what lives from then on is seen to stay as it is
    forgets: bool = True  # whether to wait until receipts and groups have gone, too
    seed: int = 1
    claims_time: bool = True  # whether slower calls are wrong


@dataclass(slots=True)
class Outcome:
    """What was seen; ``wrong`` in words."""

    plan: Plan
    began: float = field(default_factory=time.time)
    samples: list[Sample] = field(default_factory=list)
    lines: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    faults: list[tuple[float, str]] = field(default_factory=list)
    quiet: Counter[str] = field(default_factory=Counter)  # keys by kind, at the end
    figures: dict[str, int] = field(default_factory=dict)  # of the server, at the end
    wrong: list[str] = field(default_factory=list)

    @property
    def counts(self) -> Counter[str]:
        """What the clients counted."""
        found: Counter[str] = Counter()
        for line in self.every_line:
            found.update(line["counts"])
        return found

    @property
    def every_line(self) -> list[dict[str, Any]]:
        """Of both clients."""
        return [line for lines in self.lines.values() for line in lines]

    @property
    def lives(self) -> list[judge.Life]:
        """Of processes, after warm-up."""
        return judge.lives(self.samples, self.plan.warm_s)

    @property
    def latencies(self) -> list[tuple[judge.Change, judge.Change]]:
        """By kind of call."""
        shaken = [at for at, _ in self.faults]
        return judge.latencies(self.every_line, shaken, self.began + self.plan.warm_s)


def run(plan: Plan, folder: Path, tell: Callable[[str], None] = lambda _: None) -> Outcome:
    """Do it all."""
    folder.mkdir(parents=True, exist_ok=True)
    outcome = Outcome(plan)
    with Stack(folder, plan.seed) as stack:
        outcome.began = time.time()
        _play(stack, outcome, tell)
        tell("the load ends; waiting until all is quiet")
        orphans = samples.strangers(stack)
        outcome.wrong += [f"an orphan: {line}" for line in orphans]
        outcome.wrong += stack.stop_clients()
        outcome.lines = {name: notes.read(folder / f"{name}.notes") for name in CLIENTS}
        _come_to_rest(stack, outcome)
        _look_at_disk(stack, outcome)
        tell("stopping")
        outcome.wrong += stack.stop()
        outcome.wrong += [f"left after up: {line}" for _, line in samples.of_state(stack)]
    _judge(outcome)
    return outcome


def _play(stack: Stack, outcome: Outcome, tell: Callable[[str], None]) -> None:
    plan, chance = outcome.plan, random.Random(outcome.plan.seed)
    end = time.monotonic() + plan.seconds
    kills_end = end - plan.seconds * (1 - plan.kills_until)
    due, left = time.monotonic() + chance.uniform(*plan.gap_s), list[scenes.Fault]()
    while (now := time.monotonic()) < end:
        outcome.samples.append(samples.look(stack))
        if now >= due and now < end - max(scenes.AWAY_S):
            if not left:
                kills = scenes.KILLS if now < kills_end else ()
                left = chance.sample([*kills, *scenes.PAUSES], len(kills) + len(scenes.PAUSES))
            if now >= kills_end:
                left = [scene for scene in left if scene in scenes.PAUSES] or [*scenes.PAUSES]
            scene = left.pop()
            tell(f"{time.time() - outcome.began:6.0f} s  {scene.__name__}")
            outcome.faults.append((time.time(), scene.__name__))
            scene(stack, chance)
            due = time.monotonic() + chance.uniform(*plan.gap_s)
        stack.wait(min(plan.sample_s, max(0.0, end - time.monotonic())))


def _come_to_rest(stack: Stack, outcome: Outcome) -> None:
    layout = Layout(stack.settings.deployment)
    with stack.redis() as client:
        left = _until_none(
            lambda: [
                f"still {count} {name}"
                for name, count in samples.waiting(samples.figures(client, layout)).items()
                if count
            ],
            DRAINED_S,
        )
        outcome.wrong += left
        outcome.wrong += _until_none(
            lambda: judge.beyond(samples.kinds(client, layout), forgotten=outcome.plan.forgets),
            FORGOTTEN_S,
        )
        outcome.quiet = samples.kinds(client, layout)
        outcome.figures = samples.figures(client, layout)
        outcome.wrong += misplaced_keys(client, stack.settings.deployment)
        if letters := outcome.figures["dead letters"]:
            outcome.wrong.append(f"{letters} dead letters")


def _look_at_disk(stack: Stack, outcome: Outcome) -> None:
    """What no binding and no device names, once what is too young was collected, too."""
    with Cache(stack.settings.model_copy(update={"memory_bytes": 0})) as cache:
        stores = cache.stores
        stores.disk.collect(-1)
        linked: set[str] = set()
        _until_none(lambda: _reserved(cache), RESERVATION_S + 5)  # by somebody who was cut off
        for device in stores.devices.ids():
            manifest, there = stores.devices.manifest(device), stores.files.sizes(device)
            linked |= {held.sha256 for held in manifest.values()}
            copies = {held.copy: held.size for held in manifest.values()}
            if copies != there:
                told = f"{len(copies)} entries, {len(there)} files, and they are not the same"
                outcome.wrong.append(f"device {device}: {told}")
            ledger = stores.devices.ledger(device)
            if ledger.reserved or ledger.used != sum(there.values()):
                told = f"{ledger.used} bytes used, {ledger.reserved} reserved"
                outcome.wrong.append(f"device {device}: {told}, {sum(there.values())} on disk")
        leaked = set(stores.blobs.digests()) - stores.disk.named() - linked
        if leaked:
            outcome.wrong.append(f"{len(leaked)} blobs that nothing names")
        if halves := list((stores.blobs.folder / "incoming").iterdir()):
            outcome.wrong.append(f"{len(halves)} halves of contents")


def _reserved(cache: Cache) -> list[str]:
    """Devices that still hold room for somebody, what the sweep ends once it is due apart."""
    devices = cache.stores.devices
    for device in devices.ids():
        cache.device_caches.settle(device)
    return [device for device in devices.ids() if devices.ledger(device).reserved]


def _until_none(found: Callable[[], Sequence[str]], seconds: float) -> list[str]:
    """Wait until nothing is found; what still is after so many seconds."""
    end, last = time.monotonic() + seconds, list[str]()
    while time.monotonic() < end:
        with suppress(redis.RedisError):
            if not (last := list(found())):
                return []
        time.sleep(POLL_S)
    return last


def _judge(outcome: Outcome) -> None:
    outcome.wrong += [said for line in outcome.every_line for said in line["wrong"]]
    if not outcome.counts["reads checked"]:
        outcome.wrong.append("nothing was read")
    outcome.wrong += [said for life in outcome.lives for said in life.wrong]
    if outcome.plan.claims_time:
        outcome.wrong += judge.slower(outcome.latencies)
