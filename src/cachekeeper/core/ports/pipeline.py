"""What an invalidation passes through: requests, pending sets, receipts, dead letters, causes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from cachekeeper.core.dead import Kind, Letter
from cachekeeper.core.due import Attempt, Work
from cachekeeper.core.receipt import Receipt
from cachekeeper.core.request import Request
from cachekeeper.core.stamps import Moment
from cachekeeper.core.strategy import Strategy
from cachekeeper.core.waiting import Waiting


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

    def hand_back(self, strategy: Strategy, token: str, ids: Iterable[str], now: float) -> int:
        """Have claimed requests wait again, for somebody else; how many were still claimed."""

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
