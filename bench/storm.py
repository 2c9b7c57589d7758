"""A storm of changes in a folder, with the workers and the watcher that ``up`` runs.

A folder of 20,000 files, all of them cached, is changed 10,000 times: edits, replacements by a
rename, new files, deletions, renames and moves of whole folders. Then every path that there is or
was is read through the cache, and must be what the folder has. What the sweep finds afterwards, the
watcher has lost. Before that, single files are saved one by one, to see how long the old content
is served from each tier.
"""

from __future__ import annotations

import os
import random
import shutil
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bench.harness import Options, Spread, tell
from bench.report import Figure
from bench.servers import Bed, bed
from bench.workers import until, worker
from cachekeeper.client.cache import Cache
from cachekeeper.client.changes import ChangeDesk
from cachekeeper.client.namespace import Namespace
from cachekeeper.core.strategy import Strategy
from cachekeeper.errors import OriginMissing
from cachekeeper.names import Task
from cachekeeper.settings import PREFIX
from cachekeeper.store.redis.records import RedisActivity

IN_A_FOLDER: Final = 100
LOOK_S: Final = 0.001
#: A save that is not seen after so long is a failure, and no slow one.
NEVER_S: Final = 30.0
BURST: Final = 50
LONGEST_PAUSE_S: Final = 0.2
#: The longest that a change may be held back, and more.
HELD_S: Final = 3.0


@dataclass(frozen=True, slots=True)
class Sizes:
    """How many files there are, how many changes, and how many single saves."""

    files: int
    changes: int
    saves: int


FULL: Final = Sizes(20_000, 10_000, 200)
QUICK: Final = Sizes(2_000, 1_000, 20)


def measure(options: Options) -> list[Figure]:
    """The figures, on a server of their own."""
    sizes = QUICK if options.quick else FULL
    with bed() as server:
        found = _measured(server, sizes)
    return [Figure(key, value, WHAT[key], UNITS.get(key, "")) for key, value in found.items()]


WHAT: Final = {
    "storm_changes": "changes that were made, one after the other",
    "storm_paths": "paths that were checked afterwards, those that are gone among them",
    "storm_stale": "of these that were not what the folder has",
    "storm_requests_a_change": "requests for invalidation, those of sweeps included / changes",
    "storm_lost": "changes that a sweep found afterwards",
    "storm_s": "from the first change to the last",
    "save_to_clean_p50_s": "from a save until no tier serves the old: median",
    "save_to_clean_p95_s": "19 of 20 saves were clean by then",
    "save_to_clean_memory_p95_s": "the same for the memory of a node",
    "save_to_clean_redis_p95_s": "for what was derived from the file, in Redis",
    "save_to_clean_disk_p95_s": "for the file on disk",
    "known_bytes_a_file": "what Redis keeps about a file of the origin",
}
UNITS: Final = {
    "storm_s": "s",
    "known_bytes_a_file": "B",
    **{name: "s" for name in WHAT if name.endswith(("p50_s", "p95_s"))},
}


def _measured(server: Bed, sizes: Sizes) -> dict[str, float]:
    with _library(sizes.files) as library, ExitStack() as stack:
        for name in ("immediate", "general", "watch"):
            stack.enter_context(worker(server, name))
        cache = stack.enter_context(server.cache(origin=library.folder))
        return _Bench(cache, library, sizes).run()


@dataclass
class _Library:
    """A folder, and what is in it: None for what was there before."""

    folder: Path
    content: dict[str, bytes | None] = field(default_factory=dict)
    written: int = 0
    paths: list[str] = field(default_factory=list)  # each path that ever was

    def write(self, path: str, *, by_rename: bool = False) -> bytes:
        """New content, of the length that all have."""
        self.written += 1
        body = f"{self.written:012}".encode()
        if by_rename:
            (self.folder / "upload.part").write_bytes(body)
            (self.folder / "upload.part").replace(self.folder / path)
        else:
            (self.folder / path).write_bytes(body)
        self._is(path, body)
        return body

    def move(self, old: str, new: str) -> None:
        """Another name for a file."""
        (self.folder / old).rename(self.folder / new)
        self._is(new, self.content[old])
        self.content[old] = None

    def move_folder(self, old: str, new: str) -> None:
        """Another name for a folder."""
        (self.folder / old).rename(self.folder / new)
        for path in [p for p, body in self.content.items() if p.startswith(f"{old}/")]:
            self._is(new + path[len(old) :], self.content[path])
            self.content[path] = None

    def delete(self, path: str) -> None:
        """No file any more."""
        (self.folder / path).unlink()
        self.content[path] = None

    def there(self) -> list[str]:
        """The paths of the files that there are."""
        return [path for path, body in self.content.items() if body is not None]

    def any(self, dice: random.Random) -> str:
        """One of them."""
        while True:
            path = dice.choice(self.paths)
            if self.content[path] is not None:
                return path

    def _is(self, path: str, body: bytes | None) -> None:
        if path not in self.content:
            self.paths.append(path)
        self.content[path] = body


@contextmanager
def _library(files: int) -> Iterator[_Library]:
    """So many files in folders of two levels; workers find them by the environment."""
    folder = Path(tempfile.mkdtemp(prefix="cachekeeper-storm-"))
    library = _Library(folder)
    for number in range(0, files, IN_A_FOLDER):
        album = f"{number // (10 * IN_A_FOLDER):03}/{number // IN_A_FOLDER:04}"
        (folder / album).mkdir(parents=True)
        for place in range(min(IN_A_FOLDER, files - number)):
            library.write(f"{album}/{place:03}.jpg")
    os.environ[f"{PREFIX}ORIGIN"] = str(folder)
    try:
        yield library
    finally:
        del os.environ[f"{PREFIX}ORIGIN"]
        shutil.rmtree(folder)


class _Bench:
    """Saves, the storm, and what is left after it."""

    def __init__(self, cache: Cache, library: _Library, sizes: Sizes) -> None:
        self._cache, self._library, self._sizes = cache, library, sizes
        self._desk, self._dice = ChangeDesk(cache), random.Random(5)
        self._activity = RedisActivity(cache.stores.connection)
        self._thumbs: Namespace = cache.namespace("thumb")
        self._thumbs.loader(lambda path: b"of " + cache.files.get(path))

    def run(self) -> dict[str, float]:
        """Everything once."""
        until(lambda: self._desk.swept().learnt and not self._desk.swept().phase)
        figures = self._saves()
        tell(f"storm: {self._sizes.files:,} files are read")
        for path in self._library.there():
            self._cache.files.get(path)
        found_before, begun = self._found(), time.time()
        tell(f"storm: {self._sizes.changes:,} changes")
        with self._reading():
            for number in range(self._sizes.changes):
                self._change()
                if number % BURST == 0:  # as it comes: much at once, then nothing for a moment
                    time.sleep(self._dice.uniform(0, LONGEST_PAUSE_S))
        took = time.time() - begun
        time.sleep(HELD_S)
        self._all_told()
        tell("storm: every path is read")
        stale = sum(not self._is_right(path) for path in self._library.content)
        self._swept_since(time.time())
        requests = sum(1 for _ in self._cache.records(since_s=time.time() - begun))
        known = self._known_bytes() / len(self._library.there())
        return {
            "storm_changes": self._sizes.changes,
            "storm_paths": len(self._library.content),
            "storm_stale": stale,
            "storm_requests_a_change": requests / self._sizes.changes,
            "storm_lost": self._found() - found_before,
            "storm_s": took,
            **figures,
            "known_bytes_a_file": known,
        }

    def _saves(self) -> dict[str, float]:
        """Single files, each saved while all tiers have it."""
        tell(f"storm: {self._sizes.saves} single saves")
        took: dict[str, list[float]] = {"memory": [], "redis": [], "disk": []}
        for path in self._dice.sample(self._library.there(), self._sizes.saves):
            self._thumbs.get(path)
            held = {"memory": f"file:{path}", "redis": f"thumb:{path}", "disk": f"file:{path}"}
            for tier, key in held.items():
                assert self._cache.tiers[tier].read(key) is not None, (tier, key)
            begun = time.perf_counter()
            self._library.write(path)
            while held:
                for tier in [t for t, key in held.items() if not self._cache.tiers[t].read(key)]:
                    took[tier].append(time.perf_counter() - begun)
                    del held[tier]
                if time.perf_counter() - begun > NEVER_S:
                    raise RuntimeError(f"{path} is served from {', '.join(held)} still")
                time.sleep(LOOK_S)  # between two looks
        all_tiers = [max(each) for each in zip(*took.values(), strict=True)]
        return {
            "save_to_clean_p50_s": Spread.of(all_tiers).median,
            "save_to_clean_p95_s": _p95(all_tiers),
            **{f"save_to_clean_{tier}_p95_s": _p95(each) for tier, each in took.items()},
        }

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Somebody reads meanwhile, so that there is something to go stale all the time."""
        over, dice = threading.Event(), random.Random(6)

        def read() -> None:
            while not over.is_set():
                with suppress(OriginMissing):
                    self._cache.files.get(self._library.any(dice))

        reader = threading.Thread(target=read)
        reader.start()
        try:
            yield
        finally:
            over.set()
            reader.join()

    def _change(self) -> None:
        """One of the things that people and programs do to a folder."""
        library, dice = self._library, self._dice
        path = library.any(dice)
        kinds: dict[Callable[[], object], int] = {
            lambda: library.write(path): 5500,
            lambda: library.write(path, by_rename=True): 2000,
            lambda: library.write(f"{path[:-4]}-{library.written}.jpg"): 900,
            lambda: library.delete(path): 800,
            lambda: library.move(path, f"{path[:-4]}-{library.written}.png"): 780,
            lambda: self._move_folder(path): 20,
        }
        (change,) = dice.choices(list(kinds), list(kinds.values()))
        change()

    def _move_folder(self, path: str) -> None:
        folder = path.rpartition("/")[0]
        self._library.move_folder(folder, f"{folder.partition('-')[0]}-{self._library.written}")
        self._library.written += 1

    def _all_told(self) -> None:
        """Wait until what was done before is invalidated: a file that is saved last says so."""
        path = self._library.there()[0]
        self._cache.files.get(path)
        body = self._library.write(path)
        until(lambda: self._cache.files.get(path) == body)
        until(lambda: not self._cache.stores.pending.waiting(Strategy.IMMEDIATE))
        time.sleep(HELD_S)

    def _is_right(self, path: str) -> bool:
        try:
            body: bytes = self._cache.files.get(path)
        except OriginMissing:
            return self._library.content[path] is None
        return body == self._library.content[path]

    def _swept_since(self, then: float) -> None:
        self._desk.sweep()
        until(lambda: self._desk.swept().finished > then and not self._desk.swept().phase)

    def _found(self) -> float:
        """What all sweeps have found."""
        totals = self._activity.totals()
        return sum(totals.get(f"{Task.RECONCILE} {kind}", 0) for kind in ("changed", "new", "gone"))

    def _known_bytes(self) -> int:
        connection, found = self._cache.stores.connection, 0
        for key in connection.redis.scan_iter(match=f"{connection.layout.known('')}*", count=1000):
            found += connection.redis.memory_usage(key, samples=0)
        return found


def _p95(values: list[float]) -> float:
    return statistics.quantiles(values, n=20)[-1]
