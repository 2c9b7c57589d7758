"""Changes on their way from a watcher to the workers: told at once, and not too often.

The first change of a file is told at once: a lone edit must not wait. One that goes on changing, as
while it is written slowly, is told again after a pause that doubles each time, and once more when
it has come to rest. What can't be told just now is kept, up to a bound.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from cachekeeper.core.ports.origins import Changed

MOST: Final = 100_000  # paths that are held at a time
FIRST_PAUSE_S: Final = 0.25
LONGEST_PAUSE_S: Final = 2.0
#: A file that was not told for so long is as any other.
CALM_S: Final = 2 * LONGEST_PAUSE_S
_FORGOTTEN_AT: Final = 20_000  # paths, before those that are calm are dropped


class _Told(NamedTuple):
    at: float
    pause_s: float


class Holding:
    """Changes that wait to be told; all times by one clock that only rises.

    ``lost`` counts those for which there was no room: a sweep has to find them.
    """

    def __init__(self, most: int = MOST) -> None:
        self._most, self.lost = most, 0
        self._held: dict[str, bool] = {}
        self._told: dict[str, _Told] = {}

    def __len__(self) -> int:
        return len(self._held)

    def add(self, changes: Iterable[Changed]) -> None:
        """These changed, or could not be told."""
        for path, listing in changes:
            if path in self._held or len(self._held) < self._most:
                self._held[path] = self._held.get(path, False) or listing
            else:
                self.lost += 1

    def due(self, now: float, at_most: int) -> list[Changed]:
        """What is to be told now; it is held no longer."""
        found: list[Changed] = []
        for path, listing in self._held.items():
            if self._when(path) <= now:
                found.append(Changed(path, listing))
                if len(found) == at_most:
                    break
        for path, _ in found:
            del self._held[path]
            before = self._told.get(path)
            again = before is not None and now - before.at <= CALM_S
            pause = min(2 * before.pause_s, LONGEST_PAUSE_S) if before and again else FIRST_PAUSE_S
            self._told[path] = _Told(now, pause)
        if len(self._told) > _FORGOTTEN_AT:
            self._told = {p: told for p, told in self._told.items() if now - told.at <= CALM_S}
        return found

    def everything(self) -> list[Changed]:
        """All that is held, due or not; it is held no longer."""
        found = [Changed(path, listing) for path, listing in self._held.items()]
        self._held = {}
        return found

    def next_due(self) -> float | None:
        """When the next change is to be told, None when none is held."""
        return min(map(self._when, self._held), default=None)

    def _when(self, path: str) -> float:
        told = self._told.get(path)
        return told.at + told.pause_s if told else float("-inf")
