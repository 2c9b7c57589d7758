"""Which files of a folder change, as it happens.

A push is a hint: events can be missed (network mounts, overflow), so a time-based expiry or a
sweep must stand behind it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from threading import Event

from watchfiles import watch

DEBOUNCE_MS = 100
STEP_MS = 25


def changes(folder: Path, stop: Event) -> Iterator[list[str]]:
    """Batches of relative paths that were written, renamed or deleted, until ``stop``."""
    root = folder.resolve()
    for batch in watch(
        root, debounce=DEBOUNCE_MS, step=STEP_MS, stop_event=stop, raise_interrupt=False
    ):
        paths = {Path(name).relative_to(root).as_posix() for _, name in batch}
        hidden = {path for path in paths if any(p.startswith(".") for p in path.split("/"))}
        if paths - hidden:
            yield sorted(paths - hidden)
