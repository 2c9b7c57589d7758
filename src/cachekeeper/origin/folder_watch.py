"""Which files of a folder change, as it happens.

A push is a hint: events can be missed (network mounts, overflow), so that a lifetime or a sweep
must stand behind it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from threading import Event

from watchfiles import Change, watch

from cachekeeper.core.ports.origins import Changed

DEBOUNCE_MS = 100
STEP_MS = 25


def changes(folder: Path, stop: Event) -> Iterator[list[Changed]]:
    """Batches of relative paths that were written, renamed or deleted, until ``stop``."""
    root = folder.resolve()
    for batch in watch(root, debounce=DEBOUNCE_MS, step=STEP_MS, stop_event=stop):
        found: dict[str, bool] = {}
        for kind, name in batch:
            path = Path(name).relative_to(root).as_posix()
            if not any(part.startswith(".") for part in path.split("/")):
                found[path] = found.get(path, False) or kind is not Change.modified
        if found:
            yield [Changed(path, listing) for path, listing in sorted(found.items())]
