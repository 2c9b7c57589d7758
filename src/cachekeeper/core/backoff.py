"""How long to wait before work is tried again."""

from __future__ import annotations

from typing import Final

FIRST_S: Final = 0.5
LONGEST_S: Final = 10.0
#: The share of a bound that a pause may take. The rest is for the sweep that ends it, and for work.
SHARE: Final = 0.5


def pause_s(retries: int, drawn: float, *, within_s: float = 0.0) -> float:
    """Seconds until the next attempt, after ``retries`` attempts beyond the first.

    It doubles each time up to a cap, and lies in the upper half of that as ``drawn``, a random
    number of 0 to 1, says: what failed together is not tried again together. ``within_s`` is the
    bound that the work has to keep, 0 for none.
    """
    cap = min(LONGEST_S, SHARE * within_s) if within_s else LONGEST_S
    longest = min(cap, FIRST_S * 2.0 ** min(max(retries, 0), 16))
    return longest * (1 + drawn) / 2
