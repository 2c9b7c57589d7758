"""After the morning: the copied folder is watched, and every edit of yours shows as one line."""

from __future__ import annotations

import time
from collections.abc import Iterator
from threading import Event

from cachekeeper import Cache
from cachekeeper.core.request import Receipt
from cachekeeper.errors import CachekeeperError
from cachekeeper.origin.watch import changes
from demo.model import album_of
from demo.stage import Stage

WAIT_S = 30.0


def watched(stage: Stage, stop: Event) -> Iterator[str]:
    """A line for every file that changes in the copied library, until ``stop``."""
    stage.readers[0].ask("browse")  # so that pages are there to go stale
    for batch in changes(stage.library, stop):
        seen = time.time()
        for path in batch:
            try:
                yield _line(_invalidate(stage.cache, path), path, seen)
            except CachekeeperError as error:
                yield f"{path}: {error}"
                continue
            for reader in stage.readers:  # somebody looks at it again
                reader.ask("look", path=path)


def _invalidate(cache: Cache, path: str) -> Receipt:
    keys = [f"file:{path}", f"folder:{album_of(path)}"]
    handle = cache.invalidate(keys, consistency="strict", reason="the file changed")
    return handle.wait(WAIT_S)


def _line(receipt: Receipt, path: str, seen: float) -> str:
    album = f"/{album_of(path)}"
    chain = [key for key in receipt.affected if key.endswith((f":{path}", album))]
    tiers = ", ".join(receipt.verified)
    milliseconds = 1000 * (receipt.finished - seen)
    return f"{' -> '.join(chain)}   {tiers} clean   {milliseconds:.0f} ms"
