"""Sources travel with values: whoever reads inside a loader has declared a dependency."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from cachekeeper.core.stamps import Found, Stamp

_building: ContextVar[dict[str, Stamp] | None] = ContextVar("cachekeeper_inputs", default=None)


@contextmanager
def collecting() -> Iterator[dict[str, Stamp]]:
    """Collect what is read within, by key, with what each read hands on."""
    inputs: dict[str, Stamp] = {}
    token = _building.set(inputs)
    try:
        yield inputs
    finally:
        _building.reset(token)


def note(key: str, found: Found) -> None:
    """Something was read: if a loader did it, its value depends on it."""
    inputs = _building.get()
    if inputs is not None:
        handed_on = found.entry.stamp.handed_on(found.epoch)
        before = inputs.get(key)
        inputs[key] = handed_on if before is None else before.merged(handed_on)
