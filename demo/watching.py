"""After the morning: the copied folder is watched, and every edit of yours shows as one line."""

from __future__ import annotations

import time
from collections.abc import Iterator
from threading import Event

from cachekeeper import Cache
from cachekeeper.core.keys import file_key, folder_key, folder_of
from cachekeeper.core.ports.origins import Changed
from cachekeeper.core.receipt import Receipt
from cachekeeper.errors import CachekeeperError
from demo.stage import Stage

WAIT_S = 30.0


def watched(stage: Stage, stop: Event) -> Iterator[str]:
    """A line for every file that changes in the copied library, until ``stop``."""
    stage.readers[0].ask("browse")  # so that pages are there to go stale
    assert stage.cache.origin is not None
    for batch in stage.cache.origin.watch(stop):
        seen = time.time()
        for changed in batch:
            try:
                yield _line(_invalidate(stage.cache, changed), changed.path, seen)
            except CachekeeperError as error:
                yield f"{changed.path}: {error}"
                continue
            for reader in stage.readers:  # somebody looks at it again
                reader.ask("look", path=changed.path)


def _invalidate(cache: Cache, changed: Changed) -> Receipt:
    keys = [file_key(changed.path)]
    if changed.listing:
        keys.append(folder_key(folder_of(changed.path)))
    handle = cache.invalidate(keys, consistency="strict", reason="the file changed")
    return handle.wait(WAIT_S, purged=True)


def _line(receipt: Receipt, path: str, seen: float) -> str:
    own = [key for key in receipt.affected if key.endswith(f":{path}")]
    pages = [key for key in receipt.affected if key.startswith("album:")]
    tiers = ", ".join(receipt.verified)
    milliseconds = 1000 * (receipt.finished - seen)
    return f"{' -> '.join([*own, *pages])}   {tiers} clean   {milliseconds:.0f} ms"
