"""A service that reads a few files through a memory tier, over and over, and notes what it saw.

python -m tests.integration.reading_node FOLDER LOG NAME ...
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Final

from cachekeeper.client.cache import Cache
from cachekeeper.client.namespace import Namespace

PAUSE_S: Final = 0.01


def photos_of(cache: Cache, folder: Path) -> Namespace:
    """The files of a folder."""
    photos = cache.namespace("photo", on_disk=True)
    photos.loader(lambda name: (folder / name).read_bytes())
    return photos


def main() -> None:
    """Read until killed; a line for each read: the name, when it began and ended, the value."""
    folder, log, *names = sys.argv[1:]
    with Cache() as cache, Path(log).open("a", buffering=1) as seen:
        photos = photos_of(cache, Path(folder))
        while True:
            for name in names:
                begin = time.time()
                value = photos.get(name).decode()
                seen.write(f"{name} {begin} {time.time()} {value}\n")
            time.sleep(PAUSE_S)


if __name__ == "__main__":
    main()
