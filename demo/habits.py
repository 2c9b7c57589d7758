"""How people read: who sits down with which device, and what for."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle, groupby

from cachekeeper.core.relations import natural
from demo.model import album_of

SLIDE_SHOW_S = 30.0


@dataclass(frozen=True)
class Habit:
    """The reads of one device; ``pause_s`` between two of them."""

    device: str
    pause_s: float
    albums: list[list[str]]
    pages: int  # files in one sitting; 0 for a whole album
    favourites: float  # the chance that a sitting is with the album before

    def sittings(self) -> Iterator[list[str]]:
        """For ever: the files of one sitting, in the order they are read."""
        dice = random.Random(self.device)
        before = self.albums[0]
        for album in cycle(dice.sample(self.albums, len(self.albums))):
            chosen = before if dice.random() < self.favourites else album
            start = dice.randrange(len(chosen)) if self.pages else 0
            yield chosen[start : start + self.pages] if self.pages else chosen
            before = chosen


def habit_of(device: str, paths: list[str]) -> Habit:
    """The habit that goes with a device's name."""
    albums = [
        sorted(files, key=natural) for _, files in groupby(sorted(paths, key=album_of), album_of)
    ]
    pause_s, pages, favourites = {
        "phone": (0.02, 8, 0.5),  # a few pictures of yesterday, again and again
        "tablet": (0.03, 24, 0.2),  # a page of an album on the sofa
        "laptop": (0.04, 12, 0.3),  # this and that
        # The slide show: everything, one after the other, all of it in half a minute.
        "tv": (min(0.05, SLIDE_SHOW_S / len(paths)), 0, 0.0),
    }[device]
    return Habit(device, pause_s, albums, pages, favourites)
