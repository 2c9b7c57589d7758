"""How long a value lives (SPEC 5): from its fill, longer with every access, up to a bound.

``expires = filled + min(longest, base * multiplier ** accesses)``. It counts from the fill, so that
a value that is read all the time is made anew now and then, too. What is filled at one moment must
not expire at one moment: each key's life is shorter by a share of its own, between nothing and
``jitter``. The share comes from the key, so all processes agree on it, and a life that was
extended never turns out shorter than it was.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

#: An extension is worth a write when it adds this share of what is left of the life.
LEAST_GAIN: Final = 0.1
#: No reader is the one to make a value anew more than so many ``scale_s`` before its end (the odds
#: are 10 ** -17), so there is no need to draw.
NEVER_BEFORE: Final = 40


@dataclass(frozen=True, slots=True)
class Lifetime:
    """The rule for the values of a namespace; ``jitter`` is a share of the life, 0 to 1."""

    base_s: float
    multiplier: float = 1.0
    longest_s: float = 0.0  # nothing: what is read lives no longer for it
    jitter: float = 0.0

    @property
    def extends(self) -> bool:
        """Whether accesses make a value live longer."""
        return self.multiplier > 1 and self.longest_s > self.base_s

    def share(self, key: str) -> float:
        """What the jitter leaves of a key's life, above ``1 - jitter`` and up to 1."""
        drawn = blake2b(key.encode(), digest_size=4).digest()
        return 1 - self.jitter * int.from_bytes(drawn) / 2**32

    def after(self, key: str, accesses: int) -> float:
        """Seconds from the fill to the expiry, once a value was read so often."""
        if not self.extends or accesses == 0:
            return self.share(key) * self.base_s
        grown = accesses * math.log(self.multiplier)  # as a power it might be too large for one
        if grown >= math.log(self.longest_s / self.base_s):
            return self.most(key)
        return self.share(key) * self.base_s * self.multiplier**accesses

    def most(self, key: str) -> float:
        """Seconds from the fill to the expiry, however often a value is read."""
        return self.share(key) * max(self.base_s, self.longest_s)


@dataclass(frozen=True, slots=True)
class Accessed:
    """Reads of a value since they were last told: the version filled at a time, and its rule."""

    key: str
    filled: float  # seconds since 1970
    accesses: int
    lifetime: Lifetime


def is_due_early(*, expires: float, scale_s: float, now: float, drawn: float) -> bool:
    """Whether this reader is the one to make a value anew before it expires.

    XFetch: each reader draws an evenly distributed number above 0 and up to 1. The closer the end,
    and the larger ``scale_s``, the likelier it is the one: that is how long the loader takes, times
    the setting ``beta``. With 1, of a value that is read all the time, the first one nearly always
    begins early enough to be done when it expires; with more it begins earlier.

    Vattani, Chierichetti, Lowenstein: Optimal Probabilistic Cache Stampede Prevention. PVLDB 8
    (2015), 886-897.
    """
    return scale_s > 0 and now - scale_s * math.log(drawn) >= expires
