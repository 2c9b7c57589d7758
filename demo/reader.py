"""A service process that devices read through: `python -m demo.reader`, spoken to in JSON lines.

It is a node like any other: its memory tier is its own. One thread a device plays the morning;
commands from standard input are answered on standard output, each in a thread, in any order.
The end of standard input ends the process, so that it can't outlive who started it.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from cachekeeper import Cache
from cachekeeper.errors import CachekeeperError, OriginMissing
from demo.habits import Habit, habit_of
from demo.model import PAGE, Library, album_of, digest, page_of

POLL_S = 0.01
COMMANDS_AT_ONCE = 16


class Reader:
    """One process, some devices."""

    def __init__(self, cache: Cache, devices: list[str], paths: list[str]) -> None:
        self._cache, self._library = cache, Library(cache)
        self._devices = {name: cache.device(name) for name in devices}
        self._habits = [habit_of(name, paths) for name in devices]
        self._albums = list(dict.fromkeys(map(album_of, paths)))
        self._stop, self._leaving = threading.Event(), threading.Event()
        self._threads = [
            threading.Thread(target=self._play, args=(habit,), name=habit.device, daemon=True)
            for habit in self._habits
        ]
        self.failures: list[str] = []

    def play(self) -> dict[str, Any]:
        """Let the devices read until told to stop."""
        for thread in self._threads:
            thread.start()
        return {}

    def rest(self) -> dict[str, Any]:
        """Let the devices put the morning down; returns what went wrong in it."""
        self._stop.set()
        for thread in self._threads:
            thread.join()
        return {"failures": self.failures}

    def leave(self) -> None:
        """Stop whatever goes on: the process ends."""
        self._leaving.set()
        self._stop.set()

    def look(self, path: str) -> dict[str, Any]:
        """Read a file and what is derived from it, then say what each tier alone would serve.

        Returns digests by tier (None: not held), of the device's copy, the thumbnail, and of
        the thumbnail that the album page shows.
        """
        device = next(iter(self._devices.values()))
        try:
            got = digest(self._library.files.get(path))
        except OriginMissing:
            got = None
        return {
            "got": got,
            "tiers": self.tiers(path),
            "device": digest(device.get(path).body) if got else None,
            "thumb": digest(self._library.thumbs.get(path)) if got else None,
            "shown": self._shown(path),
        }

    def tiers(self, path: str) -> dict[str, str | None]:
        """What each tier of this process holds of a file, without filling any."""
        key = self._library.files.key(path)
        found = {name: tier.read(key) for name, tier in self._cache.tiers.items()}
        return {name: digest(f.entry.body) if f else None for name, f in found.items()}

    def wait_clean(self, path: str, old: str, timeout: float) -> dict[str, Any]:
        """Wait until no tier of this process serves the old content of a file any more.

        Returns when each was seen clean, None for one that never was, and when the last look
        that found the old content there began; in seconds since 1970.
        """
        end = time.monotonic() + timeout
        clean: dict[str, float | None] = dict.fromkeys(self._cache.tiers)
        stale = dict.fromkeys(clean, 0.0)
        while time.monotonic() < end and None in clean.values() and not self._leaving.is_set():
            now, held = time.time(), self.tiers(path)
            for name, content in held.items():
                if content == old:
                    clean[name], stale[name] = None, now
                elif clean[name] is None:
                    clean[name] = now
            time.sleep(POLL_S)
        return {"clean": clean, "stale": stale}

    def browse(self) -> dict[str, Any]:
        """Look at every album page once."""
        for album in self._albums:
            for number in range(-(-len(self._library.names(album)) // PAGE)):
                if self._leaving.is_set():
                    return {}
                self._library.page(album, number)
        return {}

    def stats(self) -> dict[str, Any]:
        """Where the reads of this process ended."""
        return self._cache.stats()

    def _shown(self, path: str) -> str | None:
        return self._open_page(path).get(path)

    def _open_page(self, path: str) -> dict[str, str]:
        """The album page that shows a file; empty when none does."""
        names = self._library.names(album_of(path))
        if path not in names:
            return {}
        return self._library.page(album_of(path), page_of(path, names))

    def _play(self, habit: Habit) -> None:
        device = self._devices[habit.device]
        for number, sitting in enumerate(habit.sittings()):
            try:
                self._library.sit_down(habit.device, number)
                self._open_page(sitting[0])
            except OriginMissing:  # deleted or renamed meanwhile
                continue
            except CachekeeperError as error:
                self.failures.append(f"{habit.device} album of {sitting[0]}: {error}")
                continue
            for path in sitting:
                if self._stop.wait(habit.pause_s):
                    return
                try:
                    device.get(path)
                except OriginMissing:
                    continue  # deleted or renamed meanwhile
                except CachekeeperError as error:
                    self.failures.append(f"{habit.device} {path}: {error}")


def main(open_cache: Callable[[], Cache] = Cache) -> None:
    """Serve until the end of standard input; the first line says which devices and files."""
    given = json.loads(sys.stdin.readline())
    output = threading.Lock()

    def say(answer: dict[str, Any]) -> None:
        with output:
            print(json.dumps(answer), flush=True)

    with open_cache() as cache, ThreadPoolExecutor(COMMANDS_AT_ONCE) as pool:
        reader = Reader(cache, given["devices"], given["paths"])

        def answer(number: int, command: str, arguments: dict[str, Any]) -> None:
            try:
                say({"id": number, "is": getattr(reader, command)(**arguments)})
            except Exception as error:  # whatever it was, the caller must hear of it
                say({"id": number, "error": f"{type(error).__name__}: {error}"})

        say({"id": 0, "is": {}})
        for line in sys.stdin:
            asked = json.loads(line)
            pool.submit(answer, asked["id"], asked["do"], asked["with"])
        pool.shutdown(wait=False, cancel_futures=True)  # nobody hears the answers any more
        reader.leave()


if __name__ == "__main__":
    main()
