"""An invalidator: changes documents, invalidates them, and looks at what is left.

python -m tests.chaos.graph.invalidator FOLDER NAME SEED DOC,...
"""

from __future__ import annotations

import random
import signal
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import redis

from cachekeeper.client.cache import Cache
from cachekeeper.client.receipt import ReceiptHandle
from cachekeeper.core.receipt import Receipt, Status
from cachekeeper.core.strategy import Consistency, Strategy
from cachekeeper.errors import CachekeeperError
from cachekeeper.settings import load
from cachekeeper.store.blobs import Blobs
from tests.chaos.graph import removed
from tests.chaos.graph.evidence import Evidence, Record
from tests.chaos.graph.history import Change, Log, Look
from tests.chaos.graph.world import Register

THREADS: Final = 3
#: How requests are asked for. What is invalidated lazily keeps its bytes: it is not looked at.
STRATEGIES: Final = (Strategy.IMMEDIATE, Strategy.SCHEDULED, Strategy.BACKGROUND, Strategy.LAZY)
STRATEGY_WEIGHTS: Final = (70, 13, 12, 5)
STRICT: Final = 0.6
#: How many documents at a time: in one request, or in one each.
MANY, IN_ONE = 0.25, 0.5
PAUSE_S: Final = 0.03
WAIT_S: Final = 30.0


@dataclass
class Invalidator:
    """One thread, with documents of its own."""

    cache: Cache
    evidence: Evidence
    register: Register
    docs: Sequence[int]
    chance: random.Random
    changes: Log
    looks: Log

    def change(self) -> None:
        """Change some documents, invalidate them, wait, and look."""
        chance = self.chance
        number = chance.randint(2, 4) if chance.random() < MANY else 1
        chosen = chance.sample(list(self.docs), min(number, len(self.docs)))
        strategy = chance.choices(STRATEGIES, STRATEGY_WEIGHTS)[0]
        level = Consistency.STRICT if chance.random() < STRICT else Consistency.EVENTUAL
        versions = {doc: self.register.write(doc) for doc in chosen}
        called = time.monotonic()
        there = list(self.evidence.made_from_older(versions, called))
        begin = time.monotonic()
        handles = self._ask(chosen, strategy, level)
        receipts = [handle.wait(WAIT_S) for handle in handles]
        returned = time.monotonic()
        good = all(receipt.status is Status.DONE for receipt in receipts)
        status = str(Status.DONE if good else Status.UNKNOWN)
        for doc, version in versions.items():
            change = Change(doc, version, level, strategy, called, returned, status)
            self.changes.line(change)
        if strategy is not Strategy.LAZY and good:
            receipts = [handle.wait(WAIT_S, purged=True) for handle in handles]
            purged = time.monotonic()
            left = list(self.evidence.made_from_older(versions, called))
            before = {(record.tier, record.value.id) for record in there}
            traces = [self._trace(r, before, versions, receipts) for r in left]
            went_on = any(receipt.limits for receipt in receipts)
            self.looks.line(Look(receipts[0].id, len(there), went_on, traces, purged - begin))

    def _ask(self, docs: Sequence[int], strategy: str, level: str) -> list[ReceiptHandle]:
        keys = [f"doc:{doc}" for doc in docs]
        requests = [keys] if self.chance.random() < IN_ONE else [[key] for key in keys]
        return [
            self.cache.invalidate(request, strategy=strategy, consistency=level)
            for request in requests
        ]

    def _trace(
        self,
        record: Record,
        before: set[tuple[str, int]],
        versions: dict[int, int],
        receipts: Sequence[Receipt],
    ) -> dict[str, Any]:
        """What is needed to tell why a record is left."""
        return {
            "key": record.key,
            "tier": record.tier,
            "value": record.value.id,
            "there_before": (record.tier, record.value.id) in before,
            "as_of": record.as_of,
            "filled": record.filled,
            "sources": record.sources,
            "versions": list(versions.items()),
            "epoch": max(receipt.epoch for receipt in receipts),
            "marked": max(receipt.marked for receipt in receipts),
            "limits": [limit for receipt in receipts for limit in receipt.limits],
            "edges": self.evidence.edges_above(record.key),
        }


def main() -> None:
    """Be an invalidator."""
    folder, name, seed, listed = Path(sys.argv[1]), *sys.argv[2:]
    removed.apply()
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    settings = load(memory_bytes=0)
    assert settings.cache_url is not None
    register, cache = Register(folder / "register"), Cache(settings)
    bare = redis.Redis.from_url(settings.cache_url)
    docs = [int(doc) for doc in listed.split(",")]

    def work(thread: int) -> None:
        layout = cache.stores.connection.layout
        evidence = Evidence(bare, layout, Blobs(settings.state / "blobs"), register)
        chance = random.Random(f"{seed} {name} {thread}")
        logs = [Log(folder, f"{name}-{thread}", kind) for kind in ("changes", "looks")]
        invalidator = Invalidator(
            cache, evidence, register, docs[thread::THREADS], chance, logs[0], logs[1]
        )
        while not stop.is_set():
            try:
                invalidator.change()
            except (CachekeeperError, redis.RedisError) as error:
                print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
            time.sleep(chance.expovariate(1 / PAUSE_S))
        for log in logs:
            log.flush()

    threads = [threading.Thread(target=work, args=[i]) for i in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        while thread.is_alive():  # the main thread has to be free for signals
            thread.join(0.1)
    cache.close()


if __name__ == "__main__":
    main()
