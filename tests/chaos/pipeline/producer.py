"""A producer: asks for invalidations of every kind until it has asked often enough.

python -m tests.chaos.pipeline.producer FOLDER NAME SEED REQUESTS PAUSE
"""

from __future__ import annotations

import random
import sys
import time
import uuid
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from cachekeeper.client.cache import Cache
from cachekeeper.core.strategy import STRATEGIES, Consistency, Strategy
from cachekeeper.errors import CachekeeperError
from cachekeeper.names import Task
from tests.chaos.pipeline.sent import Log, Sent

#: Shares of what goes through the client, and of requests that are sent once more.
CLIENT, AGAIN = 0.6, 0.1
STRATEGY_SHARES: Final = {
    Strategy.IMMEDIATE: 45,
    Strategy.LAZY: 15,
    Strategy.SCHEDULED: 20,
    Strategy.BACKGROUND: 20,
}
#: Of what is named; a namespace is often asked for while it waits already, and merged.
NAMED_SHARES: Final = {"key": 78, "keys": 10, "tag": 6, "namespace": 5, "bulk": 1}
MANY: Final = 100_000
RECENT: Final = 200
REFUSED_PAUSE_S: Final = 0.2


class Producer:
    """Asks, and writes down what was accepted; what was refused is nobody's any more."""

    def __init__(self, log: Log, chance: random.Random) -> None:
        self._log, self._chance = log, chance
        self._cache = _opened()
        self._recent: deque[dict[str, Any]] = deque(maxlen=RECENT)

    def ask(self) -> None:
        """One request."""
        asked, way = time.time(), self._chance.random()
        if self._recent and way < AGAIN:
            fields = self._chance.choice(self._recent)
            self._send(fields)
            self._note("again", fields, asked)
        elif way < AGAIN + CLIENT:
            fields = self._fields()
            kinds = {name: fields.pop(name, ()) for name in ("tags", "namespaces")}
            tag, namespace = (next(iter(names), None) for names in kinds.values())
            handle = self._cache.invalidate(**fields, tag=tag, namespace=namespace)
            named = {name: names for name, names in kinds.items() if names}
            self._note("client", {**fields, **named, "id": handle.id}, asked)
        else:
            fields = {"id": uuid.uuid4().hex, "at": asked, **self._fields()}
            self._send(fields)
            self._note("task", fields, asked)

    def close(self) -> None:
        """Leave."""
        self._cache.close()

    def _send(self, fields: Mapping[str, Any]) -> None:
        queue = STRATEGIES[Strategy(fields["strategy"])].queue
        self._cache.broker.send(Task.INVALIDATE, fields, queue=queue)

    def _note(self, way: str, fields: dict[str, Any], asked: float) -> None:
        seeds = sum(len(fields.get(name, ())) for name in ("keys", "tags", "namespaces"))
        how = (str(fields["strategy"]), str(fields["consistency"]))
        self._log.write(Sent(fields["id"], way, *how, seeds, asked, time.time()))
        if way != "again":
            self._recent.append(fields)

    def _fields(self) -> dict[str, Any]:
        chance = self._chance
        (named,) = chance.choices(list(NAMED_SHARES), list(NAMED_SHARES.values()))
        (strategy,) = chance.choices(list(STRATEGY_SHARES), list(STRATEGY_SHARES.values()))
        how = {"strategy": str(strategy), "consistency": str(chance.choice(list(Consistency)))}
        if named == "tag":
            return {"tags": [f"tag-{chance.randrange(500)}"], **how}
        if named == "namespace":
            return {"namespaces": [f"space-{chance.randrange(20)}"], **how}
        count = {"key": 1, "keys": chance.randrange(2, 60), "bulk": chance.randrange(1001, 2500)}
        numbers = chance.sample(range(MANY), count[named])
        return {"keys": [f"space-{number % 20}:{number}" for number in numbers], **how}


def _opened() -> Cache:
    while True:
        try:
            return Cache()
        except CachekeeperError:  # the server is down just now
            time.sleep(REFUSED_PAUSE_S)


def main() -> None:
    """Be a producer."""
    folder, name, seed, requests, pause = sys.argv[1:]
    chance = random.Random(f"{seed} {name}")
    producer = Producer(Log(Path(folder), name), chance)
    accepted = 0
    while accepted < int(requests):
        try:
            producer.ask()
            accepted += 1
            time.sleep(chance.uniform(0, 2 * float(pause)))
        except CachekeeperError:
            time.sleep(REFUSED_PAUSE_S)
    producer.close()


if __name__ == "__main__":
    main()
