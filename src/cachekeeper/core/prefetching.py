"""What is fetched before it is asked for: a candidate, the leave to fetch it, how useful it was."""

from __future__ import annotations

from typing import Final, NamedTuple

from cachekeeper.core.keys import check_path
from cachekeeper.core.stamps import Moment
from cachekeeper.errors import InvalidInput

#: A plan for an access that is older (s) is learnt from and fetches nothing.
STALE_AFTER_S: Final = 60.0
#: Paths of one message: what a device reports at once.
PATHS_AT_MOST: Final = 200
FAR: Final = 1e11  # seconds since 1970: what is later is no time

# Why a prediction was not fetched, as it is counted.
OLD: Final = "old"  # the access was too long ago, or the fetch came too late
SPARED: Final = "spared"  # the device is metered or low on battery
THROTTLED: Final = "throttled"  # predictions for this device were of little use of late
CLAIMED: Final = "claimed"  # another fetch of it is on its way
INVALIDATED: Final = "invalidated"  # between the plan and the end of the fetch
HELD: Final = "held"  # the device has got it otherwise
ORIGIN_AWAY: Final = "origin_away"
DEVICE_BUSY: Final = "device_busy"  # as much is fetched for it as may be
ORIGIN_BUSY: Final = "origin_busy"
MISSING: Final = "missing"  # in the origin
NO_ROOM: Final = "no_room"  # on the device, for what it is worth; or larger than the quota
DISK_FULL: Final = "disk_full"
BUSY: Final = "busy"  # the same path is being stored or removed
FAILED: Final = "failed"  # for another reason, which the log has

#: Of these another attempt may do better.
PASSING: Final = frozenset({ORIGIN_AWAY, DEVICE_BUSY, ORIGIN_BUSY, BUSY})
#: The counters of a device's statistics that begin with this say why.
DROPPED: Final = "prefetch_dropped_"


def check_time(value: object, field: str) -> float:
    """A time in seconds since 1970. Raises InvalidInput."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < FAR:
        raise InvalidInput(field, value, "seconds since 1970")
    return value


def check_chance(value: object, field: str) -> float:
    """A probability of something that may be. Raises InvalidInput."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1:
        raise InvalidInput(field, value, "a number above 0, at most 1")
    return value


def check_paths(value: object, field: str) -> list[str]:
    """What a device read, in its order. Raises InvalidInput."""
    if not isinstance(value, list) or not 1 <= len(value) <= PATHS_AT_MOST:
        raise InvalidInput(field, value, f"a list of 1 to {PATHS_AT_MOST} relative paths")
    return [check_path(path, f"{field}[{number}]") for number, path in enumerate(value)]


class Candidate(NamedTuple):
    """A file that is likely to be read, who will claim it, and the origin it is from."""

    path: str
    probability: float
    token: str
    origin: str


class Ticket(NamedTuple):
    """The leave to fetch one file: who has claimed it, and as of which moment it was planned."""

    device: str
    path: str
    token: str
    origin: str
    planned: Moment


class Usefulness(NamedTuple):
    """How much of what was prefetched for a device was read, and what follows from that.

    ``state``: ``open``; ``raised``, with the ``threshold`` above the one that is set; ``stopped``,
    but for a probe now and then.
    """

    state: str
    usefulness: float  # 0..1, of the last fifty or so; 1 until there is enough to judge
    threshold: float
