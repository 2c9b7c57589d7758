"""Sources travel with values: whoever reads inside a loader has declared a dependency."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from cachekeeper.core.stamps import Found, Stamp, merged


class _Inputs(dict[str, Stamp]):
    """What a loader has read so far; it may read from several threads of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.lock = threading.Lock()


_building: ContextVar[_Inputs | None] = ContextVar("cachekeeper_inputs", default=None)


@contextmanager
def collecting() -> Iterator[dict[str, Stamp]]:
    """Collect what is read within, by key, with what each read hands on."""
    inputs = _Inputs()
    token = _building.set(inputs)
    try:
        yield inputs
    finally:
        _building.reset(token)


def is_collecting() -> bool:
    """Whether a loader is at work, so that what is read has to be noted."""
    return _building.get() is not None


def note(key: str, found: Found) -> None:
    """Something was read: if a loader did it, its value depends on it."""
    inputs = _building.get()
    if inputs is not None:
        handed_on = found.entry.stamp.handed_on(key, found.moment)
        with inputs.lock:
            before = inputs.get(key)
            inputs[key] = handed_on if before is None else merged([before, handed_on])
