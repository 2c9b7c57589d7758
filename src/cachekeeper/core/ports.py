"""What the rules and services need from the world; ``store`` and ``origin`` provide it.

Times are seconds since 1970 unless a name says otherwise; sizes are bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, NamedTuple, Protocol, runtime_checkable

from cachekeeper.core.dead import Kind, Letter
from cachekeeper.core.device import Access, Held, Ledger
from cachekeeper.core.due import Attempt, Work
from cachekeeper.core.looked import Looked
from cachekeeper.core.preview import Members, Weight
from cachekeeper.core.receipt import Receipt
from cachekeeper.core.request import Request
from cachekeeper.core.stamps import Found, Moment
from cachekeeper.core.strategy import Strategy
from cachekeeper.core.waiting import Waiting

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


class Counters(Protocol):
    """Sums that operators watch."""

    def count(self, name: str) -> None:
        """One more."""


class Receipts(Protocol):
    """What became of each request."""

    def save(self, receipts: Iterable[Receipt]) -> None:
        """Keep receipts."""

    def load(self, request_id: str) -> Receipt | None:
        """A receipt by the id of its request."""

    def trim(self, before: float) -> int:
        """Forget old ones; returns how many."""


class Leftovers(Protocol):
    """Seeds of requests whose purge goes on in the background."""

    def put(self, request_id: str, keys: Sequence[str]) -> None:
        """Keep the seeds of a request."""

    def load(self, request_id: str) -> list[str]:
        """The seeds that were kept; none when they are gone."""

    def drop(self, request_id: str) -> None:
        """They are purged."""


class Inbox(Protocol):
    """Where requests are put that wait."""

    def submit(self, receipt: Receipt, request: Request, at_most: int) -> tuple[int, str]:
        """Append a request: how many wait now, and which request stands for it ('': no room)."""


class ReopenableReceipts(Receipts, Protocol):
    """Receipts of requests that may begin anew after they failed."""

    def reopen(self, receipt: Receipt) -> None:
        """Put a receipt in the place of a failed one, or of none."""


class Pending(Protocol):
    """Requests that wait for beat or a full batch."""

    def waiting(self, strategy: Strategy) -> int:
        """How many wait under a strategy, without what was claimed."""

    def claim(self, strategy: Strategy, token: str, at_most: int, deadline: float) -> list[Request]:
        """Take the oldest requests under a token until a deadline; bury what can't be read.

        As many as belong into one batch: fewer than ``at_most`` if they are large.
        """

    def bury(
        self,
        strategy: Strategy,
        token: str,
        request: str,
        work: object,
        reason: str,
        *,
        kind: Kind = ...,
    ) -> None:
        """Give a claimed request up: a dead letter says what was to be done, and why it was not."""

    def complete(self, strategy: Strategy, token: str, ids: Iterable[str]) -> int:
        """Forget claimed requests that are done."""

    def requeue_overdue(self, now: float, reason: str) -> tuple[int, list[Request]]:
        """Of claims whose deadline has passed: how many were requeued, and those given up.

        The latter are dead letters, with the reason.
        """

    def orphans(self) -> int:
        """Forget requests that neither wait nor are claimed; returns how many."""


class PendingSets(Protocol):
    """The pending sets, to be looked at."""

    def oldest(self, strategy: Strategy) -> Waiting:
        """What waits under a strategy, without what was claimed."""


class Queues(Protocol):
    """The broker's queues, to be looked at."""

    def waiting(self) -> dict[str, Waiting]:
        """What waits in each queue. Raises BrokerUnavailable."""


class Prepared(Protocol):
    """Requests of units of work, until it is sure that they are done."""

    def overdue(self, limit: int, again_s: float) -> list[dict[str, Any]]:
        """Those, as on the wire, that nobody has sent in time.

        They come again in so many seconds unless they are forgotten.
        """

    def forget(self, ids: Sequence[str]) -> None:
        """They were sent."""


class Sender(Protocol):
    """Enqueues tasks."""

    def send(
        self,
        task: str,
        arguments: Mapping[str, object],
        *,
        queue: str | None = None,
        expires_s: float | None = None,
        attempt: Attempt | None = None,
    ) -> str:
        """Enqueue a task; returns its id. Raises BrokerUnavailable."""


class Due(Protocol):
    """Work that failed, until it is tried again."""

    def put(self, work: Work, when: float) -> bool:
        """Keep work until it is due; False when there is no room."""

    def claim(
        self, now: float, token: str, deadline: float, at_most: int
    ) -> tuple[list[Work], dict[str, bytes]]:
        """Take what is due until a deadline: work, and by id what can't be read as work."""

    def sent(self, token: str, work_id: str) -> bool:
        """Forget work that was sent; whether it was still this token's."""


class DeadLetters(Protocol):
    """Work that was given up."""

    def bury(
        self,
        work: Mapping[str, object],
        reason: str,
        now: float,
        *,
        kind: Kind = ...,
        attempts: int = ...,
        first_seen: float | None = None,
    ) -> str:
        """Keep what could not be done, and why; malformed unless told. Returns the letter's id."""


class LettersKept(Protocol):
    """Dead letters, to be looked at."""

    def figures(self) -> dict[str, int]:
        """``kept``, ``bytes``, and how many were ``dropped`` for room."""

    def newest(self) -> Iterator[Letter]:
        """All letters, the newest first."""

    def load(self, ids: Iterable[str]) -> list[Letter]:
        """Letters by id, without those that there are not."""

    def remove(self, ids: Iterable[str]) -> int:
        """Forget letters; returns how many there were."""


class Activity(Protocol):
    """What the tasks of the schedule did."""

    def record(self, task: str, worker: str, now: float, figures: Mapping[str, float]) -> None:
        """A task ended with these figures."""

    def count(self, name: str) -> None:
        """One more of something."""


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


class Devices(Protocol):
    """Ledgers and manifests of devices."""

    def ids(self) -> list[str]:
        """Every device that ever reserved a byte."""

    def access(self, device: str, path: str, now: float) -> Access:
        """Look a path up and count the access."""

    def reserve(
        self, device: str, path: str, size: int, quota: int, token: str, deadline: float
    ) -> int | None:
        """Reserve bytes: 0 when reserved, else how many are missing; None when busy."""

    def commit(self, device: str, path: str, token: str, held: Held) -> bool:
        """Turn a reservation into an entry."""

    def release(self, device: str, path: str, token: str) -> bool:
        """Give a reservation back."""

    def evict(
        self, device: str, wanted: int, token: str, deadline: float, below: float | None
    ) -> list[str]:
        """Take entries of lowest rank out; their bytes count until released."""

    def remove_expired(
        self, device: str, path: str, token: str, deadline: float, now: float
    ) -> bool:
        """Take one expired entry out; its bytes count until released."""

    def entry(self, device: str, path: str) -> Held | None:
        """One entry."""

    def manifest(self, device: str) -> dict[str, Held]:
        """Every entry by path."""

    def overdue(self, device: str, now: float) -> list[tuple[str, str]]:
        """(path, token) of reservations whose holder must be dead."""

    def ledger(self, device: str) -> Ledger:
        """Bytes used and reserved, and the counters."""

    def events(self, device: str, limit: int) -> list[str]:
        """The last events, newest first: ``time state path``."""

    def saw_follow(self, before: str, path: str) -> None:
        """Learn that one path was read after another."""

    def followers(self, path: str) -> dict[str, float]:
        """What was read after a path, and how often."""

    def decay(self, factor: float, least: float) -> int:
        """Age what was learnt; for how many paths."""


class Files(Protocol):
    """The files of devices."""

    def put(self, device: str, path: str, body: bytes) -> str:
        """Give a device a copy; returns its SHA-256."""

    def restore(self, device: str, path: str, digest: str) -> bool:
        """Make a copy the given content again; False when that is gone."""

    def get(self, device: str, path: str, digest: str) -> bytes | None:
        """A device's copy of a content; None when it has none, or a copy of another."""

    def delete(self, device: str, path: str) -> None:
        """Take a copy away."""


class Cause(Protocol):
    """An invalidation as the log tells it."""

    @property
    def epoch(self) -> int:
        """When, in the order of invalidations."""

    @property
    def request(self) -> str:
        """The id of the request."""

    @property
    def at(self) -> float:
        """When it was marked."""

    @property
    def strategy(self) -> str:
        """How it was dispatched."""

    @property
    def reason(self) -> str:
        """What the producer gave as the reason."""

    @property
    def by(self) -> str:
        """Who asked."""

    @property
    def sources(self) -> tuple[str, ...]:
        """What was marked."""


class Causes(Protocol):
    """Past invalidations."""

    def now(self) -> Moment:
        """The moment."""

    def last(self, sources: Iterable[str]) -> Cause | None:
        """The last one of any of the sources."""


class Edges(Protocol):
    """The graph next to a key."""

    def inputs(self, key: str, limit: int | None = None) -> list[str]:
        """What it was derived from, or some of it."""

    def dependents(self, key: str, limit: int | None = None) -> list[str]:
        """What was derived from it, or some of it."""

    def degrees(self, key: str) -> tuple[int, int]:
        """How many inputs and dependents it has."""


@dataclass(frozen=True, slots=True)
class Version:
    """Which version of a file an origin has."""

    size: int
    token: str  # differs when the content may differ


class Origin(Protocol):
    """Where the truth is."""

    def stat(self, path: str) -> Version:
        """Size and version. Raises OriginMissing, OriginUnavailable."""

    def read(self, path: str) -> bytes:
        """The content. Raises OriginMissing, OriginUnavailable."""

    def siblings(self, path: str) -> list[str]:
        """The files in the same folder."""
