"""Sources travel with values: whoever reads inside a loader has declared a dependency."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

from cachekeeper.core.stamps import Found, Stamp, merged


class Input(NamedTuple):
    """What a loader read: what it hands on, and when it had been filled (s since 1970).

    ``filled`` is 0 when it read more than one version.
    """

    stamp: Stamp
    filled: float


class _Inputs(dict[str, Input]):
    """What a loader has read so far; it may read from several threads of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.lock = threading.Lock()


_building: ContextVar[_Inputs | None] = ContextVar("cachekeeper_inputs", default=None)


@contextmanager
def collecting() -> Iterator[dict[str, Input]]:
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
        entry = found.entry
        read = Input(entry.stamp.handed_on(key, found.moment), entry.filled)
        with inputs.lock:
            before = inputs.get(key)
            inputs[key] = read if before is None else _both(before, read)


def _both(one: Input, other: Input) -> Input:
    filled = one.filled if one.filled == other.filled else 0.0
    return Input(merged([one.stamp, other.stamp]), filled)
