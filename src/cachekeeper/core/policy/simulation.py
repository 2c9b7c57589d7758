"""What a policy would have made of recorded accesses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Final

from cachekeeper.core.policy.port import Policy
from cachekeeper.core.policy.trace import Trace

#: What a miss costs beside its bytes, in mean requested sizes.
TRIP: Final = 3.0
#: Accesses between two reports of progress.
STRIDE: Final = 20_000


@dataclass(frozen=True, slots=True)
class Misses:
    """Shares of what was asked for that was not held, 0 to 1; the first access always misses."""

    omr: float  # of the requests
    bmr: float  # of their bytes
    cmr: float  # of the cost: a miss costs its bytes and three times the mean requested size

    def to_json(self) -> dict[str, float]:
        """Plain JSON values, by field."""
        return asdict(self)


def simulate(policy: Policy, trace: Trace, progress: Callable[[int], None] | None = None) -> Misses:
    """Play a trace to a policy that holds nothing yet.

    A key that is held under another size counts as a hit, and has the new size from then on:
    whether a copy is fresh is no matter of eviction. ``progress`` is told how many accesses were
    done since the last time.
    """
    on_hit, on_insert = policy.on_hit, policy.on_insert
    misses = missed = 0
    for first in range(0, len(trace), STRIDE):
        part = slice(first, first + STRIDE)
        accesses = zip(trace.keys[part], trace.sizes[part], trace.times[part], strict=True)
        for key, size, now in accesses:
            if key in policy:
                on_hit(key, size, now)
            else:
                on_insert(key, size, now)
                misses += 1
                missed += size
        if progress is not None:
            progress(min(STRIDE, len(trace) - first))
    requests, requested = len(trace), trace.requested
    trip = TRIP * requested / requests
    cost = requests * trip + requested
    return Misses(
        omr=misses / requests,
        bmr=missed / requested if requested else 0.0,
        cmr=(misses * trip + missed) / cost if cost else misses / requests,
    )


def share_of(footprint: int, share: float) -> int:
    """So much of a footprint as a capacity: at least one byte."""
    return max(1, int(footprint * share))
