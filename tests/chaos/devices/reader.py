"""A process of readers of one device: ``python -m tests.chaos.devices.reader SEED THREADS``.

It is killed while it reads. What it read and found broken goes to standard error, and its exit
status is then 1.
"""

from __future__ import annotations

import os
import random
import sys
import threading

from cachekeeper import Cache
from cachekeeper.errors import CachekeeperError, OriginUnavailable
from tests.chaos.devices.world import DEVICE, is_whole


def main() -> None:
    """Read until killed."""
    seed, threads = int(sys.argv[1]), int(sys.argv[2])
    cache = Cache()
    assert cache.settings.origin is not None
    paths = sorted(each.name for each in cache.settings.origin.iterdir() if each.name[0] != ".")
    weights = [1 / (1 + place) for place in range(len(paths))]

    def read(chance: random.Random) -> None:
        device = cache.device(DEVICE)
        while True:
            (path,) = chance.choices(paths, weights)
            try:
                read = device.get(path)
                with read.open() as file:
                    if not is_whole(file, path, read.size):
                        print(f"broken: {path} {read}", file=sys.stderr, flush=True)
                        os._exit(1)
            except OriginUnavailable:
                continue  # it was changed while it was read
            except CachekeeperError as error:
                print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
                os._exit(1)

    for number in range(threads):
        chance = random.Random(f"{seed} {number}")
        threading.Thread(target=read, args=(chance,), daemon=True).start()
    parent, never = os.getppid(), threading.Event()
    while os.getppid() == parent:  # nobody would kill it any more
        never.wait(1)


if __name__ == "__main__":
    main()
