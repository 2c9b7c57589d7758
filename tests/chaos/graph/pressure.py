"""What takes parents away: evictions one by one, as a full server makes them, and a full server.

python -m tests.chaos.graph.pressure FOLDER SEED
"""

from __future__ import annotations

import json
import random
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any, Final

import redis

from cachekeeper.settings import load
from cachekeeper.store.redis.layout import Layout
from tests.chaos.graph.world import KEYS

#: The file that says what was done.
PRESSED: Final = "pressed.json"
PAUSE_S: Final = 0.004
#: A full server: how often, for how long, how much of it may stay.
FULL_EVERY_S: Final = 2.0
FULL_S: Final = 0.15
STAYS: Final = 0.97
#: One evicts what expires first; the other takes nothing in any more.
POLICIES: Final = ("volatile-ttl", "noeviction")


def evict(server: Any, layout: Layout, chance: random.Random) -> None:
    """Take a value or what binds it to its blob, or both, as an eviction would."""
    key = chance.choice(KEYS)
    names = [layout.value(key), layout.binding(key)]
    server.unlink(*(names if chance.random() < 0.5 else [chance.choice(names)]))


def fill_up(server: Any, policy: str, stop: threading.Event) -> None:
    """Leave it less room than it uses, for a moment."""
    used = int(server.info("memory")["used_memory"])
    server.config_set("maxmemory-policy", policy)
    server.config_set("maxmemory", int(used * STAYS))
    stop.wait(FULL_S)
    server.config_set("maxmemory", 0)


def by_the_server(server: Any) -> int:
    """How many keys it has evicted itself."""
    return int(server.info("stats")["evicted_keys"])


def main() -> None:
    """Press until SIGTERM."""
    folder, seed = Path(sys.argv[1]), sys.argv[2]
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    settings, chance = load(), random.Random(seed)
    assert settings.cache_url is not None
    server, layout = redis.Redis.from_url(settings.cache_url), Layout(settings.deployment)
    evicted = turns = 0
    full_at = time.monotonic() + FULL_EVERY_S
    while not stop.is_set():
        evict(server, layout, chance)
        evicted += 1
        if time.monotonic() > full_at:
            fill_up(server, POLICIES[turns % 2], stop)
            turns += 1
            full_at = time.monotonic() + FULL_EVERY_S
        stop.wait(chance.expovariate(1 / PAUSE_S))
    pressed = {"evictions": evicted, "full": turns, "evicted_by_the_server": by_the_server(server)}
    (folder / PRESSED).write_text(json.dumps(pressed))


if __name__ == "__main__":
    main()
