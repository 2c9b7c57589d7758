"""A trace from the events that a device's cache keeps of itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from cachekeeper.core.policy.trace import Trace

#: What an access found. ``expired`` is left out: it is also what the sweep says of a removal.
ACCESSES: Final = {"hit", "missing", "stale"}


@dataclass(frozen=True, slots=True)
class Recorded:
    """A trace, and how many of its objects have a size that is a guess."""

    trace: Trace
    guessed: int


def from_events(name: str, events: Iterable[str], sizes: Mapping[str, int]) -> Recorded | None:
    """A trace of what was accessed, None when nothing was.

    Args:
        name: of the trace.
        events: ``time state path``, oldest first.
        sizes: of what the device holds, in bytes; anything else is taken for their mean.
    """
    parts = [event.split(" ", 2) for event in events]
    seen = sorted((float(at), path) for at, state, path in parts if state in ACCESSES)
    if not seen:
        return None
    times, keys = [at for at, _ in seen], [path for _, path in seen]
    mean = sum(sizes.values()) // len(sizes) if sizes else 1
    trace = Trace(name, times, keys, [sizes.get(key, mean) for key in keys])
    return Recorded(trace, len(set(keys) - set(sizes)))
