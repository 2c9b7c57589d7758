"""How often something came true, of how many trials; aged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

HALVED_AT: Final = 1000.0  # trials: what is older counts less and less


@dataclass(slots=True)
class Rate:
    """Hits among trials.

    A trial is counted when it is made and its hit when it comes, so that one whose device never
    returns is a miss, and nothing has to be cleared up after it.
    """

    hits: float = 0.0
    trials: float = 0.0

    def tried(self) -> None:
        """Count a trial, of which it is not known yet whether it hits."""
        self.trials += 1
        if self.trials >= HALVED_AT:
            self.hits, self.trials = self.hits / 2, self.trials / 2

    def smoothed(self, prior: float, strength: float) -> float:
        """The share of hits, beside ``strength`` trials of which ``prior`` hit; 0 to 1."""
        return min(1.0, (self.hits + strength * prior) / (self.trials + strength))
