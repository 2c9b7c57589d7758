"""What a member declares afterwards: that a loader read something elsewhere.

Here is of which values, and when; the calls themselves are the member's.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from cachekeeper.client.cache import Cache
from cachekeeper.client.receipt import ReceiptHandle
from cachekeeper.core.receipt import Status
from cachekeeper.errors import CachekeeperError
from tests.chaos.coherence.history import Edge, LineLog
from tests.chaos.coherence.world import DECLARED, NUMBER_OF, RARE, source_key, unpack

#: Of how many values it is declared: other members may do it too.
SHARE: Final = 0.3
#: How long after they were first read: those whose source is written seldom, and the others.
LATE_S: Final = 4.0
SOON_S: Final = 0.1
LATE: Final = {source_key(source) for source in RARE}
#: How often, and for how long, what a late declaration has asked for is looked at.
LOOK_S: Final = 0.1
GIVEN_UP_S: Final = 10.0


class DeclaringCache(Cache):
    """Keeps the handles of what a declaration that came too late has asked for."""

    asked: tuple[ReceiptHandle, ...] = ()

    def depend(self, key: str, on: str | Iterable[str]) -> None:
        self.asked = ()
        super().depend(key, on)

    def invalidate(self, *names: Any, **options: Any) -> ReceiptHandle:
        handle = super().invalidate(*names, **options)
        self.asked = (*self.asked, handle)
        return handle


class Declarer:
    """For one member: notes values it has read, tells of which to declare, keeps the record."""

    def __init__(self, folder: Path, name: str, chance: random.Random) -> None:
        self._name, self._chance = name, chance
        self._log = LineLog(folder, name, "edges")
        self._known: dict[str, int] = {}
        self._due: list[tuple[float, str, int]] = []
        self._open: list[tuple[Edge, tuple[ReceiptHandle, ...]]] = []
        self._looked = 0.0

    def saw(self, key: str, body: bytes) -> None:
        """A value was read."""
        if key in DECLARED:
            number = unpack(body)[NUMBER_OF[key]]
            if self._known.get(key) != number:
                self._known[key] = number
                if self._chance.random() < SHARE:
                    most_s = LATE_S if DECLARED[key] in LATE else SOON_S
                    at = time.monotonic() + self._chance.uniform(0, most_s)
                    self._due.append((at, key, number))

    def due(self) -> tuple[str, int] | None:
        """A key to declare something of now, and the number of the value that is meant."""
        now = time.monotonic()
        for place, (at, key, number) in enumerate(self._due):
            if at <= now:
                del self._due[place]
                return (key, number) if self._known[key] == number else None
        return None

    def declared(
        self, key: str, number: int, called: float, asked: tuple[ReceiptHandle, ...]
    ) -> None:
        """It was declared of that value, which was stored before and after; ``asked`` if late."""
        now = time.monotonic()
        settled = None if asked else now
        edge = Edge(self._name, key, number, called, now, settled, late=bool(asked))
        self._log.add(edge)
        if asked:
            self._open.append((edge, asked))

    def look(self) -> None:
        """Note which late declarations have had their effect meanwhile."""
        now = time.monotonic()
        if now < self._looked + LOOK_S:
            return
        self._looked = now
        still = []
        for edge, asked in self._open:
            if all(map(_done, asked)):
                self._log.add(edge._replace(settled=time.monotonic()))
            elif now < edge.returned + GIVEN_UP_S:
                still.append((edge, asked))
        self._open = still


def _done(handle: ReceiptHandle) -> bool:
    try:
        return handle.read().status is Status.DONE
    except CachekeeperError:
        return False
