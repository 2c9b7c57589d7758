"""How things are timed: ours and the other in turns, in one run, so that both meet the same noise.

A machine speeds up, slows down and does other things meanwhile. So each round is cut into short
slices that alternate (ours, other, other, ours), a round gives one ratio, and what counts is the
median of the rounds; the lowest and the highest are shown beside it.
"""

from __future__ import annotations

import gc
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

T = TypeVar("T")

#: The contract: medians of at least this many rounds.
MIN_ROUNDS: Final = 5


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line asks of every benchmark."""

    quick: bool = False
    traces: Path | None = None  # a folder, for those that play recorded accesses


@dataclass(frozen=True, slots=True)
class Spread:
    """What several rounds gave."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, rounds: Iterable[float]) -> Spread:
        """The median of the rounds, the lowest and the highest."""
        found = list(rounds)
        return cls(statistics.median(found), min(found), max(found))

    def scaled(self, factor: float) -> Spread:
        """The same in another unit."""
        return Spread(self.median * factor, self.low * factor, self.high * factor)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Ours and the other: seconds a call, and ours / other round by round."""

    ours: Spread
    other: Spread
    ratio: Spread


def tell(what: str) -> None:
    """Say on stderr what is being measured; stdout is for what was found."""
    print(f"{time.strftime('%H:%M:%S')} {what}", file=sys.stderr, flush=True)


def compare(
    ours: Callable[[T], object],
    other: Callable[[T], object],
    arguments: Sequence[T],
    *,
    rounds: int,
    slices: int = 10,
) -> Comparison:
    """Call both with each of the arguments, ``2 * slices`` times a round, in turns.

    Whatever either of them has to warm up is done before the first round. The garbage collector
    runs as it does in production.

    Raises:
        ValueError: fewer rounds than the contract asks for.
    """
    if rounds < MIN_ROUNDS:
        raise ValueError(f"rounds: {rounds} (at least {MIN_ROUNDS})")
    _seconds(ours, arguments)
    _seconds(other, arguments)
    our_rounds, other_rounds = [], []
    for _ in range(rounds):
        gc.collect()
        our_s = other_s = 0.0
        for _ in range(slices):
            our_s += _seconds(ours, arguments)
            other_s += _seconds(other, arguments)
            other_s += _seconds(other, arguments)
            our_s += _seconds(ours, arguments)
        calls = 2 * slices * len(arguments)
        our_rounds.append(our_s / calls)
        other_rounds.append(other_s / calls)
    return Comparison(
        Spread.of(our_rounds),
        Spread.of(other_rounds),
        Spread.of(a / b for a, b in zip(our_rounds, other_rounds, strict=True)),
    )


def _seconds(call: Callable[[T], object], arguments: Sequence[T]) -> float:
    begin = time.perf_counter()
    for argument in arguments:
        call(argument)
    return time.perf_counter() - begin
