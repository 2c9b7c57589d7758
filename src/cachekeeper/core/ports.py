"""What the rules and services need from the world; ``store`` and ``origin`` provide it.

Times are seconds since 1970 unless a name says otherwise; sizes are bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, BinaryIO, Final, NamedTuple, Protocol, runtime_checkable

from cachekeeper.core.dead import Kind, Letter
from cachekeeper.core.device import (
    Access,
    Content,
    DeviceState,
    Held,
    Leaving,
    Ledger,
    Limits,
    Named,
    Offer,
    PinAttempt,
    Place,
    Room,
    Wish,
)
from cachekeeper.core.due import Attempt, Work
from cachekeeper.core.following import Changes, Listed, Position, Row
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
        """Every device that ever asked for room."""

    def access(self, device: str, path: str, now: float, policy: str) -> Access:
        """Look a path up and count the access."""

    def lost(self, device: str) -> None:
        """What was counted as a hit was none: its file is not on this host."""

    def note(self, device: str, counter: str, state: str, path: str, now: float) -> None:
        """Count something, and keep it among the events."""

    def reserve(self, device: str, wish: Wish, limits: Limits, place: Place, release: str) -> Room:
        """Reserve bytes, after releasing what was deleted to make room."""

    def renew(self, device: str, path: str, token: str, deadline: float) -> bool:
        """Keep a reservation; False when it is gone."""

    def commit(
        self,
        device: str,
        path: str,
        token: str,
        held: Held,
        place: Place,
        limits: Limits,
        deadline: float,
    ) -> str | None:
        """Turn a reservation into an entry.

        Returns the copy that it replaces, '' for none: it leaves under the same token. None when
        the reservation is gone.
        """

    def abandon(self, device: str, path: str, token: str, deadline: float) -> bool:
        """End a reservation; delete its file, then release the token."""

    def evict(
        self,
        device: str,
        wanted: int,
        token: str,
        deadline: float,
        limits: Limits,
        release: str = ...,
    ) -> Leaving:
        """Take entries that are worth least out, some at a time; first release what has gone."""

    def expire(
        self, device: str, token: str, deadline: float, now: float, policy: str
    ) -> tuple[bool, Leaving]:
        """Take entries out whose lifetime has passed, some at a time; whether there may be more."""

    def remove(
        self, device: str, path: str, copy: str, token: str, deadline: float, policy: str
    ) -> bool:
        """Take one copy out; delete its file, then release the token."""

    def release(self, device: str, token: str) -> bool:
        """What was leaving is gone from the disk."""

    def adopt(self, device: str, policy: str, now: float) -> int:
        """Rank by a policy what was ranked by another; returns how many entries."""

    def entry(self, device: str, path: str) -> Held | None:
        """One entry."""

    def manifest(self, device: str) -> dict[str, Held]:
        """Every entry by path."""

    def named(self, device: str) -> Named:
        """All copies that should be on the disk, at one moment."""

    def overdue(self, device: str, now: float) -> tuple[list[tuple[str, str]], list[Leaving]]:
        """Of holders that must be dead: (path, token) of reservations, and what was leaving."""

    def pinned_beside(self, device: str, path: str) -> int:
        """Bytes of all pins but that of a path."""

    def ledger(self, device: str) -> Ledger:
        """Bytes used and reserved, and the counters."""

    def events(self, device: str, limit: int) -> list[str]:
        """The last events, newest first: ``time state path``."""

    def followers(self, path: str) -> dict[str, float]:
        """What was read after a path, and how often."""

    def decay(self, factor: float, least: float) -> int:
        """Age what was learnt; for how many paths."""


class PinLedger(Protocol):
    """What devices keep whatever happens."""

    def pin(self, device: str, path: str, quota: int) -> PinAttempt:
        """Pin a path; within the quota, if it is held."""

    def unpin(self, device: str, path: str, policy: str, now: float, *, absent: bool) -> bool:
        """Let a path be evicted again; with ``absent``, only if it is not held."""

    def pins(self, device: str) -> dict[str, int]:
        """Bytes by path."""


class Following(Protocol):
    """Manifests as devices follow them."""

    def listed(self, device: str, scan: int, count: int) -> Listed:
        """A page of all entries."""

    def changes(self, device: str, since: Position, count: int) -> Changes | None:
        """What changed since a position; None when all has to be listed."""

    def row(self, device: str, path: str) -> Row | None:
        """One entry."""


class Tokens(Protocol):
    """What devices are known by: hashes of their tokens."""

    def give(self, device: str, token_hash: str, now: float, *, renew: bool) -> bool:
        """Note the token of a device; false if it has one and is not to be renewed."""

    def of(self, device: str) -> str | None:
        """The hash of a device's token."""

    def take(self, device: str) -> bool:
        """Forget a device's token, and what was kept for whoever used it."""


class Reports(Protocol):
    """What devices report."""

    def record(
        self,
        device: str,
        report: str,
        paths: Sequence[str],
        said: DeviceState | None,
        now: float,
        policy: str,
    ) -> list[Access] | None:
        """Count accesses, and note the state, once for a report's id; None when it was before."""

    def state(self, device: str) -> DeviceState | None:
        """What a device last said of itself."""


class Files(Protocol):
    """The files of devices on this host."""

    def link(self, device: str, copy: str, digest: str) -> bool:
        """Give a device a copy of a blob; False when there is no such blob."""

    def open(self, device: str, copy: str) -> BinaryIO | None:
        """A device's copy, to be read; None when it is not here."""

    def delete(self, device: str, copies: Iterable[str]) -> None:
        """Take copies away; those that are gone already don't matter."""

    def sizes(self, device: str) -> dict[str, int]:
        """Every copy in a device's folder with its bytes, asked of the file system."""


class Source(Protocol):
    """Where the files of devices come from: the tiers, else the origin."""

    def offer(self, path: str) -> Offer:
        """What there is. Raises OriginMissing, OriginUnavailable."""

    def fetch(self, path: str, offer: Offer, alive: Callable[[], None]) -> Content:
        """Have it among the blobs of this host, verified; ``alive`` is called now and then.

        Raises OriginMissing, OriginUnavailable, Busy, DiskFull.
        """

    def open(self, path: str, offer: Offer) -> BinaryIO:
        """The content, kept nowhere: a file that can be sought in.

        Raises OriginMissing, OriginUnavailable.
        """


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

    def open(self, path: str) -> BinaryIO:
        """The content, to be read and closed: a file that can be sought in.

        Raises OriginMissing, OriginUnavailable; an OSError while it is read.
        """

    def siblings(self, path: str) -> list[str]:
        """The files in the same folder."""
