"""What comes next in a folder of the origin, as far as the sweep of changes knows it."""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Collection
from typing import Final

from cachekeeper.core.keys import folder_of
from cachekeeper.core.ports.tiers import Clock
from cachekeeper.core.relations import Place, place

KEPT_S: Final = 60.0
FOLDERS: Final = 64
#: Larger folders are no albums that somebody pages through, and dear to sort.
FILES: Final = 2000


class Folders:
    """Lists of folders, asked for once a minute; the origin itself is not asked.

    ``entries`` tells the names in a folder, those of folders with a slash at the end, and raises
    CacheUnavailable. Each process has its own; a process asks from one thread.
    """

    def __init__(self, entries: Callable[[str], Collection[str]], now: Clock) -> None:
        self._entries, self._now = entries, now
        self._kept: OrderedDict[str, tuple[float, list[Place]]] = OrderedDict()

    def after(self, path: str, count: int) -> list[str]:
        """The next files of the folder in natural order, at most ``count``."""
        places = self._places(folder_of(path))
        at = bisect_right(places, place(path))
        return [each.path for each in places[at : at + count]]

    def _places(self, folder: str) -> list[Place]:
        now = self._now()
        until, places = self._kept.pop(folder, (now, []))
        if until <= now:
            names = [name for name in self._entries(folder) if not name.endswith("/")]
            within = f"{folder}/" if folder else ""
            few = names if len(names) <= FILES else []
            until, places = now + KEPT_S, sorted(place(within + name) for name in few)
        self._kept[folder] = until, places
        if len(self._kept) > FOLDERS:
            self._kept.popitem(last=False)
        return places
