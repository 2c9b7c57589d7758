"""A producer: reads, fills and declares, and every loader draws other inputs than before.

python -m tests.chaos.graph.producer FOLDER NUMBER SEED
"""

from __future__ import annotations

import random
import signal
import sys
import threading
import time
from collections import Counter
from itertools import count
from pathlib import Path
from typing import Final

from cachekeeper.client.cache import Cache
from cachekeeper.client.namespace import Namespace
from cachekeeper.errors import CachekeeperError
from tests.chaos.graph import removed
from tests.chaos.graph.history import Log, Made, Read
from tests.chaos.graph.world import (
    DOCS,
    KEYS,
    LARGE,
    LATE,
    LAYERS,
    LIVELY,
    LIVING,
    NUMBER_OF,
    ON_DISK,
    REDIS_VALUE_BYTES,
    SLOTS,
    Declared,
    Register,
    Value,
    draw,
    made,
    unpack,
)

THREADS: Final = 3
PAUSE_S: Final = 0.002
#: Shares of what is not a read.
FILLS, DECLARATIONS = 0.35, 0.03
#: A loader that takes its time between its inputs and its end, so that they change meanwhile.
SLOW, SLOW_S = 0.25, 0.02
PRODUCERS_AT_MOST: Final = 16


class Producer:
    """Three threads with one cache."""

    def __init__(self, folder: Path, number: int, seed: int) -> None:
        self._folder, self._number, self._seed = folder, number, seed
        self._cache = Cache()
        self._register = Register(folder / "register")
        self._ids = count((number << 32) + 1)
        share = SLOTS // PRODUCERS_AT_MOST
        self._slots = count(share * number)
        self._last_slot = share * (number + 1)
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._made = Log(folder, f"p{number}", "made")
        self._errors: Counter[str] = Counter()
        self._here = threading.local()
        self._spaces = {layer.name: self._space(layer.name, layer.ttl_s) for layer in LAYERS}

    def run(self) -> None:
        """Until SIGTERM."""
        signal.signal(signal.SIGTERM, lambda *_: self._stop.set())
        threads = [threading.Thread(target=self._work, args=[i]) for i in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            while thread.is_alive():  # the main thread has to be free for signals
                thread.join(0.1)
        self._made.flush()
        self._cache.close()

    def _space(self, name: str, ttl_s: int) -> Namespace:
        ttl_class = LIVELY if name in LIVING else None
        space = self._cache.namespace(
            name, ttl_s=ttl_s, ttl_class=ttl_class, on_disk=name == ON_DISK
        )
        space.loader(lambda rest: self._make(f"{name}:{rest}"))
        return space

    def _work(self, thread: int) -> None:
        self._here.chance = chance = random.Random(f"{self._seed} {self._number} {thread}")
        log = Log(self._folder, f"p{self._number}-{thread}", "reads")
        key = KEYS[0]
        while not self._stop.is_set():
            what = chance.random()
            try:
                if what < FILLS:
                    self._fill(key)  # what it read last, so that it is there
                elif what < FILLS + DECLARATIONS:
                    self._declare(f"{LATE}:{chance.randrange(12)}")
                else:
                    key = chance.choice(KEYS)
                    begin = time.monotonic()
                    value = self._read(key)
                    log.read(Read(begin, time.monotonic(), NUMBER_OF[key], value.id))
            except CachekeeperError as error:
                self._failed(error)
            time.sleep(chance.uniform(0, 2 * PAUSE_S))
        log.flush()

    def _read(self, key: str) -> Value:
        name, _, rest = key.partition(":")
        return unpack(self._spaces[name].get(rest))

    def _fill(self, key: str) -> None:
        """Put a value of its own in the place of whatever is there."""
        name, _, rest = key.partition(":")
        with self._spaces[name].fill(rest) as fill:
            fill.put(self._make(key))

    def _declare(self, key: str) -> None:
        """Fill, and say only afterwards what it was made from, too."""
        doc, slot = self._here.chance.randrange(DOCS), next(self._slots)
        if slot >= self._last_slot:
            return
        rest = key.partition(":")[2]
        with self._spaces[LATE].fill(rest) as fill:
            late = Declared(slot, doc, self._register.read(doc))
            body = self._make(key, late)
            if not fill.put(body):
                return
        self._cache.depend(key, on=f"doc:{doc}")
        if self._is_stored(key, unpack(body).id):  # and was when it was declared
            self._register.declared(slot, time.monotonic())

    def _is_stored(self, key: str, ident: int) -> bool:
        found = self._cache.stores.redis.read(key) or self._cache.stores.disk.read(key)
        return found is not None and unpack(found.entry.body).id == ident

    def _make(self, key: str, *declared: Declared) -> bytes:
        chance: random.Random = self._here.chance
        ident = next(self._ids)
        inputs: list[tuple[str, Value]] = []
        if key.startswith("doc:"):
            doc = int(key.partition(":")[2])
            value = Value(ident, {doc: self._register.read(doc)}, frozenset())
        else:
            inputs = [(name, self._read(name)) for name in draw(key, chance)]
            value = made(ident, [part for _, part in inputs])
        value = value._replace(declared=value.declared | set(declared))
        if chance.random() < SLOW:
            time.sleep(chance.uniform(0, SLOW_S))
        self._note(key, value, [(name, part.id) for name, part in inputs])
        body = value.pack()
        return body.ljust(REDIS_VALUE_BYTES + 1, b"\0") if chance.random() < LARGE else body

    def _note(self, key: str, value: Value, inputs: list[tuple[str, int]]) -> None:
        docs, late = list(value.docs.items()), list(value.declared)
        noted = Made(value.id, key, inputs, docs, late, time.monotonic())
        with self._lock:
            self._made.line(noted)

    def _failed(self, error: Exception) -> None:
        text = f"{type(error).__name__}: {error}"
        self._errors[text] += 1
        if self._errors[text] == 1:
            print(text, file=sys.stderr, flush=True)


def main() -> None:
    """Be a producer."""
    folder, number, seed = sys.argv[1:]
    removed.apply()
    Producer(Path(folder), int(number), int(seed)).run()


if __name__ == "__main__":
    main()
