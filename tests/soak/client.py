"""A process that uses the deployment: ``python -m tests.soak.client FOLDER NAME SEED``, until TERM.

``editor`` reads, edits files and invalidates; ``reader`` reads, and plays devices and a phone. Both
hold a memory tier, so that each strict invalidation waits for the other.
"""

from __future__ import annotations

import importlib.util
import json
import os
import random
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from cachekeeper.client.cache import Cache
from cachekeeper.client.receipt import ReceiptHandle
from cachekeeper.core.receipt import Status
from cachekeeper.core.strategy import Consistency, Strategy
from cachekeeper.errors import Busy, CachekeeperError, ReceiptTimeout
from cachekeeper.settings import load
from tests.soak import world
from tests.soak.notes import Notes

READ_S: Final = 0.008  # between two reads of a thread, on average
EDIT_S: Final = 0.3
DEVICE_S: Final = 0.05
PHONE_S: Final = 0.5
REST_S: Final = 0.2  # after something failed, as it does while the server is away
STRICT_S: Final = 15.0
WAITING: Final = 500  # receipts looked after at a time
BULK: Final = 3000  # keys: more than a message carries

PHONE: Final = Path(__file__).parents[2] / "examples" / "phone.py"


class Client:
    """Everything that one process does, in threads."""

    def __init__(self, folder: Path, name: str, seed: int) -> None:
        self.folder, self.name, self.seed = folder, name, seed
        self.library, self.stop = folder / "library", threading.Event()
        self.notes = Notes(folder / f"{name}.notes")
        self.floors = world.Floors(folder / "floors")
        self.cache = Cache(load())
        self._declare()
        self._handles: deque[tuple[ReceiptHandle, int, int]] = deque()

    def run(self) -> None:
        """Until told to stop."""
        roles: list[tuple[Callable[[random.Random], None], float]] = [(self._read, READ_S)] * 2
        if self.name == "editor":
            roles += [(self._edit, EDIT_S), (self._look_after, REST_S)]
        else:
            roles += [(self._device, DEVICE_S), (self._phone, PHONE_S)]
        threads = [
            threading.Thread(target=self._play, args=(role, pause_s, number))
            for number, (role, pause_s) in enumerate(roles)
        ]
        for thread in threads:
            thread.start()
        self.stop.wait()
        for thread in threads:
            thread.join()
        self.cache.close()
        self.notes.close()

    def _play(self, role: Callable[[random.Random], None], pause_s: float, number: int) -> None:
        chance = random.Random(f"{self.seed} {self.name} {number}")
        while not self.stop.wait(chance.uniform(0, 2 * pause_s)):
            try:
                role(chance)
            except (CachekeeperError, OSError) as error:
                self.notes.count(type(error).__name__)
                self.stop.wait(REST_S)
            except Exception as error:
                self.notes.wrong(f"{role.__name__}: {type(error).__name__}: {error}")
                self.stop.wait(REST_S)

    def _declare(self) -> None:
        cache = self.cache
        self.pages = cache.namespace("page", serializer="json", ttl_class="metadata")
        self.wide = cache.namespace("wide", serializer="json", ttl_s=world.WIDE_S)
        self.short = cache.namespace("short", ttl_s=world.SHORT_S)

        def page(rest: str) -> dict[str, int]:
            paths = [world.path_of(number) for number in world.parts_of(int(rest))]
            return {path: world.version_of(cache.files.get(path)) for path in paths}

        self.pages.loader(page)
        self.wide.loader(page)
        self.pages.tags(lambda rest: (f"t{int(rest) % world.TAGS}",))
        self.short.loader(lambda rest: f"{rest} {time.time()}".encode())

    def _read(self, chance: random.Random) -> None:
        kind = chance.random()
        if kind < 0.6:
            number = min(int(chance.expovariate(0.05)), world.FILES - 1)
            floor = self.floors[number]
            with self.notes.timed("read"):
                body = self.cache.files.get(world.path_of(number))
            self._check("a file", number, world.version_of(body), floor)
        elif kind < 0.85:
            number = chance.randrange(world.PAGES + (world.WIDE if kind < 0.61 else 0))
            space = self.wide if number >= world.PAGES else self.pages
            floors = {part: self.floors[part] for part in world.parts_of(number)}
            with self.notes.timed("page"):
                page = space.get(str(number))
            for path, version in page.items():
                part = world.number_of(path)
                self._check(f"a page of {len(page)}", part, version, floors[part])
        else:
            with self.notes.timed("short"):
                self.short.get(str(chance.randrange(world.SHORT)))

    def _check(self, what: str, number: int, version: int, floor: int) -> None:
        self.notes.count("reads checked")
        if version < floor:
            self.notes.wrong(f"{what} gave version {version} of {number}, after {floor}")

    def _edit(self, chance: random.Random) -> None:
        kind = chance.random()
        if kind < 0.02:
            keys = [f"short:bulk{number}" for number in range(BULK)]
            self.cache.invalidate(keys, strategy=chance.choice(list(Strategy)))
        elif kind < 0.04:
            self.cache.invalidate(tag=f"t{chance.randrange(world.TAGS)}")
        elif kind < 0.05:
            self.cache.invalidate(namespace="short", strategy=Strategy.LAZY)
        else:
            self._edit_file(chance)

    def _edit_file(self, chance: random.Random) -> None:
        number = min(int(chance.expovariate(0.05)), world.FILES - 1)
        version = time.time_ns() // 1000  # rises, whoever starts again
        world.write(self.library, number, version)
        strategy = chance.choices(list(Strategy), [6, 1, 1, 1])[0]
        level = chance.choices(list(Consistency), [4, 1, 1])[0]
        key = f"file:{world.path_of(number)}"
        at_once = strategy is Strategy.IMMEDIATE and level is Consistency.STRICT
        begin = time.perf_counter()
        handle = self.cache.invalidate(key, strategy=strategy, consistency=level)
        if at_once:
            try:
                receipt = handle.wait(STRICT_S)
            except ReceiptTimeout:
                self.notes.count("strict: no answer in time")
            else:
                self.notes.count(f"strict: {receipt.status}")
                if receipt.status is Status.DONE:
                    self.floors.rise(number, version)
                    self.notes.took("strict", time.perf_counter() - begin)
                return
        if len(self._handles) < WAITING:
            strict = level is Consistency.STRICT
            self._handles.append((handle, number if strict else -1, version))

    def _look_after(self, _: random.Random) -> None:
        """What waits for its turn, until it has ended."""
        self.notes.gauge("receipts awaited", len(self._handles))
        for _again in range(len(self._handles)):
            handle, number, version = self._handles.popleft()
            receipt = self.cache.stores.receipts.load(handle.id)
            if receipt is None:
                self.notes.count("receipts lost with the server, or too old")
            elif not receipt.ended:
                self._handles.append((handle, number, version))
            else:
                self.notes.count(f"others: {receipt.status}")
                if receipt.status is Status.DONE and number >= 0:
                    self.floors.rise(number, version)

    def _device(self, chance: random.Random) -> None:
        name = chance.choice(world.DEVICES[:2])
        device = self.cache.device(name)
        number = min(int(chance.expovariate(0.04)), world.FILES - 1)
        floor = self.floors[number]
        with self.notes.timed("device"):
            read = device.get(world.path_of(number))
        version = world.version_of(read.body)
        if not read.stale:
            self._check(f"device {name}", number, version, floor)
        quota = self.cache.settings.limits_of(name)[0]
        held = self.cache.stores.files.bytes_on_disk(name)
        ledger = device.ledger()
        if max(held, ledger.used + ledger.reserved) > quota:
            self.notes.wrong(f"{name} holds {held} bytes, {ledger.used} by its ledger, of {quota}")

    def _phone(self, chance: random.Random) -> None:
        phone = _phone_module()
        folder = self.folder / "phone"
        token, url = os.environ["SOAK_TOKEN"], os.environ["SOAK_ENDPOINT"]
        try:
            held = phone.Phone(url, world.DEVICES[2], token, folder)
            what = chance.random()
            path = world.path_of(min(int(chance.expovariate(0.2)), world.FILES - 1))
            with self.notes.timed("phone"):
                if what < 0.6:
                    world.version_of(held.read(path))
                elif what < 0.8:
                    held.sync()
                elif what < 0.9:
                    held.report(metered=what < 0.82, battery=int(what * 100))
                elif what < 0.95:
                    held.pin(world.path_of(chance.randrange(3)))
                else:
                    held.unpin(world.path_of(chance.randrange(3)))
        except (phone.Refused, phone.Cut) as error:
            status = getattr(error, "status", "cut")
            self.notes.count(f"phone: {status}")
            if status == 500:
                self.notes.wrong(f"the endpoint said 500: {error}")
        except json.JSONDecodeError:
            self.notes.count("phone: an answer was cut")
        except Exception as error:
            if not isinstance(error, OSError | Busy) and type(error).__module__ != "http.client":
                raise
            self.notes.count(f"phone: {type(error).__name__}")
            self.stop.wait(REST_S)


def _phone_module() -> ModuleType:
    if "phone" not in sys.modules:
        spec = importlib.util.spec_from_file_location("phone", PHONE)
        assert spec is not None
        assert spec.loader is not None
        sys.modules["phone"] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules["phone"]


def main(folder: str, name: str, seed: str) -> None:
    """Play until TERM."""
    client = Client(Path(folder), name, int(seed))

    def leave(*_: Any) -> None:
        client.stop.set()

    signal.signal(signal.SIGTERM, leave)
    client.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
