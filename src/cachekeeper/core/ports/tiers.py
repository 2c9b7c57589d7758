"""Places that entries are in, who holds copies of them, and how they leave."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple, Protocol, runtime_checkable

from cachekeeper.core.looked import Looked
from cachekeeper.core.preview import Members, Weight
from cachekeeper.core.request import Request
from cachekeeper.core.stamps import Found, Moment

Clock = Callable[[], float]

#: The keys that a value was made from, each with when what was read of it had been filled.
Inputs = Mapping[str, float]
NO_INPUTS: Final[Inputs] = MappingProxyType({})


class Tier(Protocol):
    """A place that an entry can be."""

    @property
    def name(self) -> str:
        """``memory``, ``redis`` or ``disk``."""

    def read(self, key: str) -> Found | None:
        """The entry if it is fresh by its stamp, and the moment at which it was found so."""

    def takes(self, key: str, size: int) -> bool:
        """Whether a key's value of a size belongs into this tier at all."""

    def fill(self, key: str, found: Found, inputs: Inputs | None = NO_INPUTS) -> Found | None:
        """Store an entry known to be valid at a moment.

        ``inputs`` are what it was made from; None: it is a copy from another tier.
        Returns it as it was stored, with the moment at which it was still valid; None when it
        is invalid by now, is no copy of what the other tier holds, or there is no room.
        """

    def remove(self, keys: Iterable[str]) -> int:
        """Delete entries; returns how many there were."""


@runtime_checkable
class SharedTier(Tier, Protocol):
    """A tier that a worker can reach for every process."""

    def present(self, keys: Iterable[str]) -> list[str]:
        """Those of the keys that have an entry, fresh or not."""


class LookedTier(Protocol):
    """A tier that can be looked into without a change."""

    @property
    def name(self) -> str:
        """As of ``Tier``."""

    def look(self, key: str) -> Looked | None:
        """What it holds under a key, fresh or not."""


class WeighedTier(Protocol):
    """A tier that can tell how much it holds."""

    @property
    def name(self) -> str:
        """As of ``Tier``."""

    def weigh(self, keys: Iterable[str]) -> Weight:
        """What the keys' entries take, fresh or not; nothing is changed."""


class Marks(Protocol):
    """Which source was invalidated last."""

    def now(self) -> Moment:
        """The moment."""

    def mark(self, requests: Sequence[Request], now: float) -> list[Moment]:
        """Make stale what was made from the requests' seeds; a moment for each.

        Raises InvalidInput when the id of one was used for other names; others may be marked.
        """


class TrimmableMarks(Protocol):
    """Marks that can be forgotten."""

    def trim(self, before: float) -> int:
        """Forget marks set before a time; returns how many."""

    def drop_groups(self, now: float) -> int:
        """Forget the groups that no value names any more; returns how many."""


class Nodes(Protocol):
    """The processes that hold a memory tier."""

    def acknowledged(self) -> tuple[int, dict[str, int]]:
        """The incarnation, and every registered node with the epoch it has applied."""

    def wait(self, epoch: int, timeout_s: float) -> tuple[int, dict[str, int]]:
        """The same, once every node has applied an epoch, or after a while."""

    def fence(self, epoch: int) -> list[str]:
        """Grant no lease any more to nodes that have not acknowledged an epoch; returns them."""

    def outwait_s(self, nodes: Collection[str] | None = None) -> float:
        """How long the lease of any of these, or of all, lasts at most, with the drift of clocks.

        Not less than one of this process would; in seconds.
        """

    def fence_silent(self, for_s: float) -> list[str]:
        """Fence nodes that have not renewed for so many seconds; returns them."""

    def leave(self, nodes: Iterable[str]) -> None:
        """Forget nodes."""


class Garbage(Protocol):
    """Keys invalidated lazily, whose bytes still lie about."""

    def add(self, keys: Iterable[str], now: float) -> None:
        """Remember keys."""

    def take(self, limit: int) -> list[str]:
        """The oldest; they stay until done."""

    def done(self, keys: Iterable[str]) -> None:
        """Their bytes are gone."""


class Stored(Protocol):
    """Which keys are stored, as far as they can be listed."""

    def members(self, namespace: str, now: float, at_most: int) -> Members:
        """How many keys of a namespace there are, among so many that are looked at."""


class Lifetimes(Protocol):
    """When keys expire, and whether values may have gone before."""

    def when(self, key: str) -> float | None:
        """When a key that was stored expires; None once that is forgotten."""

    def evictions(self) -> int | None:
        """How many values the server took away for room since it started; None if unknown."""


class Swept(NamedTuple):
    """What one call of the sweep took, and whether more is due."""

    removed: int
    pruned: int  # keys that the graph forgot
    more: bool


class Expiry(Protocol):
    """When each key expires, in order."""

    def sweep(self, now: float, limit: int, *, cascades: bool) -> Swept:
        """Remove the oldest keys whose time has come, from the index, every tier and the graph.

        With ``cascades`` those that something was derived from are kept in ``expired``.
        """

    def expired(self, limit: int) -> list[str]:
        """Some keys whose dependents are to be invalidated; they stay until ``invalidated``."""

    def invalidated(self, keys: Iterable[str]) -> None:
        """Their dependents are being invalidated."""
