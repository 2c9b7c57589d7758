"""From a weighted sum to a probability, learnt on line.

Each of 50 bins of the sum counts what came true; bins that contradict the order are pooled (pool
adjacent violators, Ayer et al. 1955), so that a higher sum never means a lower probability.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

BINS: Final = 50
STRENGTH: Final = 5.0  # trials that a bin begins with, as many hits as its centre says
HALVED_AT: Final = 2000.0  # trials of a bin


@dataclass(slots=True)
class Bin:
    """Predictions whose sum lay in one bin."""

    hits: float = 0.0
    trials: float = 0.0

    def tried(self) -> None:
        """Count a prediction, of which it is not known yet whether it hits."""
        self.trials += 1
        if self.trials >= HALVED_AT:
            self.hits, self.trials = self.hits / 2, self.trials / 2


@dataclass(slots=True)
class Calibration:
    """The bins, from the lowest sum to the highest."""

    bins: list[Bin] = field(default_factory=lambda: [Bin() for _ in range(BINS)])

    def curve(self) -> list[float]:
        """The probability of each bin; it never falls."""
        pools: list[tuple[float, float, int]] = []  # hits, trials, bins
        for number, each in enumerate(self.bins):
            hits = each.hits + STRENGTH * ((number + 0.5) / BINS)
            trials, width = each.trials + STRENGTH, 1
            while pools and pools[-1][0] * trials > hits * pools[-1][1]:
                before = pools.pop()
                hits, trials, width = before[0] + hits, before[1] + trials, before[2] + width
            pools.append((hits, trials, width))
        return [min(1.0, hits / trials) for hits, trials, width in pools for _ in range(width)]


def bin_of(share: float) -> int:
    """The bin of a number from 0 to 1."""
    return min(BINS - 1, int(share * BINS))
