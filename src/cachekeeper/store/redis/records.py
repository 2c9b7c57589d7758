"""Receipts, the pending sets of strategies that wait, and activity, in Redis."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any

from cachekeeper.core.dead import Kind
from cachekeeper.core.receipt import Receipt, Status
from cachekeeper.core.request import Request, request_from_json, used_id
from cachekeeper.core.strategy import CONSISTENCIES, Strategy
from cachekeeper.core.waiting import Waiting
from cachekeeper.errors import CacheFull, InvalidInput
from cachekeeper.names import Task
from cachekeeper.store.redis.connection import Arg, Connection, reachable
from cachekeeper.store.redis.dead import BOUNDS, letter_text, letters_of
from cachekeeper.store.redis.record_list import newest_receipts

WEAK_TO_STRICT = ",".join(reversed(CONSISTENCIES))
ATTEMPTS = 4  # claims of one request before it is buried
REAP_AT_MOST = 1000
CLAIMED_BYTES = 1_000_000  # as JSON: some 50,000 names, all in memory until they are done
SAVED_AT_ONCE = 500
RING_S = 30  # for whoever waits just now; others look at the receipt
ACTIVITY_KEPT_S = 7 * 86400


class RedisReceipts:
    """What became of each request, for as long as records are kept."""

    def __init__(self, connection: Connection, keep_s: float) -> None:
        self._c, self._keep_s = connection, keep_s

    def save(self, receipts: Iterable[Receipt]) -> None:
        """Write receipts and their place in the list of records."""
        receipts = list(receipts)
        for start in range(0, len(receipts), SAVED_AT_ONCE):
            self._save(receipts[start : start + SAVED_AT_ONCE], only_new=False)

    def open(self, receipt: Receipt) -> None:
        """Write the receipt of a request that is about to be sent, unless there is one already."""
        self._save([receipt], only_new=True)

    def reopen(self, receipt: Receipt) -> None:
        """Put the receipt of a request that begins anew in the place of a failed one or of none."""
        layout, keep = self._c.layout, max(1, int(self._keep_s))
        keys = [layout.records, layout.receipt(receipt.id), layout.ended(receipt.id)]
        self._c.run("reopen", keys, [keep, receipt.id, receipt.submitted, receipt.to_json()])

    def _save(self, receipts: list[Receipt], *, only_new: bool) -> None:
        layout, keep = self._c.layout, max(1, int(self._keep_s))
        keys, args = [layout.records], list[Arg]([keep, RING_S, int(only_new)])
        for receipt in receipts:
            keys += [layout.receipt(receipt.id), layout.ended(receipt.id)]
            args += [receipt.id, receipt.to_json(), receipt.submitted, int(receipt.ended)]
        self._c.run("save_receipts", keys, args)

    def listen(self, request_id: str, timeout_s: float) -> Receipt | None:
        """The receipt when it is saved as ended; None after a while.

        One listener hears of each save.
        """
        with reachable():
            rung = self._c.redis.blpop([self._c.layout.ended(request_id)], timeout_s)
        return None if rung is None else Receipt.from_json(rung[1])

    def load(self, request_id: str) -> Receipt | None:
        """The receipt of a request, None when it is unknown or too old.

        Of one that another stands for: the other's, in its own name.
        """
        receipt = self._load(request_id)
        if receipt is None or not receipt.merged_into:
            return receipt
        stands_for = self._load(receipt.merged_into)
        return receipt if stands_for is None else receipt.as_done_by(stands_for)

    def _load(self, request_id: str) -> Receipt | None:
        with reachable():
            raw = self._c.redis.get(self._c.layout.receipt(request_id))
        return None if raw is None else Receipt.from_json(raw)

    def recent(self, limit: int) -> list[Receipt]:
        """The newest receipts, newest first."""
        return list(islice(self.newest(), limit))

    def newest(self, since: float = 0.0) -> Iterator[Receipt]:
        """All receipts of requests made since then, newest first, read as they are taken."""
        return newest_receipts(self._c, since)

    def trim(self, before: float) -> int:
        """Forget which requests were made before a time; returns how many."""
        with reachable():
            return int(self._c.redis.zremrangebyscore(self._c.layout.records, "-inf", before))


class RedisLeftovers:
    """Seeds of requests whose purge goes on in the background; of no use after a while."""

    def __init__(self, connection: Connection, keep_s: float) -> None:
        self._c, self._keep_s = connection, keep_s

    def put(self, request_id: str, keys: Sequence[str]) -> None:
        """Keep the seeds of a request."""
        name, keep = self._c.layout.leftover(request_id), max(1, int(self._keep_s))
        with reachable():
            self._c.redis.set(name, "\n".join(keys), ex=keep)  # no key holds a line's end

    def load(self, request_id: str) -> list[str]:
        """The seeds that were kept; none when they are gone."""
        with reachable():
            found = self._c.redis.get(self._c.layout.leftover(request_id))
        return [] if not found else found.decode().split("\n")

    def drop(self, request_id: str) -> None:
        """They are purged."""
        with reachable():
            self._c.redis.unlink(self._c.layout.leftover(request_id))


class RedisPending:
    """Requests that wait for beat or a full batch. The truth is here; a message is but a bell."""

    def __init__(self, connection: Connection, keep_s: float) -> None:
        self._c, self._keep_s = connection, keep_s

    def submit(self, receipt: Receipt, request: Request, at_most: int) -> tuple[int, str]:
        """Append a request with its receipt, once, unless ``at_most`` wait already.

        Returns how many wait in its strategy now, and which request stands for this one: itself,
        or one for the same that waited before; '' when there was no room.

        Raises:
            InvalidInput: the id was used for other names.
        """
        layout, strategy, wide = self._c.layout, request.strategy, request.widened()
        keys = [
            layout.pending(strategy),
            layout.requests,
            layout.receipt(request.id),
            layout.records,
            layout.contents(strategy),
            layout.contents_of(strategy),
            layout.marked(request.id, 0),
        ]
        args: list[Arg] = [request.id, json.dumps(request.to_wire()), request.at]
        args += [receipt.to_json(), max(1, int(self._keep_s))]
        args += [request.content, request.consistency, WEAK_TO_STRICT, at_most, wide.content]
        found = self._c.run("submit", keys, args)
        if found is None or (found[2] and not _same_work([request, wide], found[2])):
            raise used_id(request)
        return int(found[0]), found[1].decode()

    def claim(self, strategy: Strategy, token: str, at_most: int, deadline: float) -> list[Request]:
        """Take the oldest requests under a token; they come back if it is not completed in time.

        Fewer than ``at_most`` if they are large, at least one. What can't be read is buried, and
        others are taken in its place.
        """
        layout = self._c.layout
        keys = [layout.pending(strategy), layout.inflight, layout.requests]
        keys += [layout.contents(strategy), layout.contents_of(strategy)]
        requests, wanted = list[Request](), at_most
        while wanted:
            found = self._c.run("claim", keys, [strategy, token, wanted, deadline, CLAIMED_BYTES])
            wanted = 0
            for name, raw in zip(found[::2], found[1::2], strict=True):
                request_id = name.decode(errors="backslashreplace")
                try:
                    requests.append(_stored(strategy, request_id, raw))
                except InvalidInput as error:
                    reason = f"stored request {request_id}: {error}"
                    self.bury(strategy, token, request_id, raw.decode(errors="replace"), reason)
                    wanted += 1
        return requests

    def bury(
        self,
        strategy: Strategy,
        token: str,
        request: str,
        work: object,
        reason: str,
        *,
        kind: Kind = Kind.MALFORMED,
    ) -> None:
        """Give a claimed request up: into the dead letters with ``work``, the receipt says why."""
        layout, now = self._c.layout, time.time()
        keys = [layout.inflight, layout.requests, layout.attempts, *letters_of(layout)]
        name = "stored" if isinstance(work, str) else "arguments"
        told = {"task": Task.INVALIDATE, "id": request, name: work}
        letter = letter_text(told, reason, now, kind=kind)
        self._c.run("bury_claimed", keys, [strategy, token, request, letter, now, *BOUNDS])
        receipts = RedisReceipts(self._c, self._keep_s)
        receipt = receipts.load(request)
        if receipt is not None and not receipt.ended:
            receipt.status, receipt.error, receipt.finished = Status.FAILED, reason, now
            receipts.save([receipt])

    def complete(self, strategy: Strategy, token: str, ids: Iterable[str]) -> int:
        """Forget claimed requests; returns how many were still this token's."""
        layout = self._c.layout
        keys = [layout.inflight, layout.requests, layout.attempts]
        return int(self._c.run("complete", keys, [strategy, token, *ids]))

    def hand_back(self, strategy: Strategy, token: str, ids: Iterable[str], now: float) -> int:
        """Have claimed requests wait again, for somebody else; how many were still claimed."""
        keys = [self._c.layout.inflight, self._c.layout.pending(strategy)]
        return int(self._c.run("hand_back", keys, [strategy, token, now, *ids]))

    def requeue_overdue(self, now: float, reason: str) -> tuple[int, list[Request]]:
        """How many were requeued since their claimer did not finish, and those given up.

        The latter are dead letters, with the reason.
        """
        layout = self._c.layout
        keys = [layout.inflight, layout.attempts, layout.requests, *letters_of(layout)]
        limits: list[Arg] = [REAP_AT_MOST, ATTEMPTS, layout.pending("")]
        args: list[Arg] = [now, *limits, Task.INVALIDATE, reason, *BOUNDS]
        requeued, given_up = self._c.run("requeue", keys, args)
        readable = list[Request]()
        for raw in given_up:
            with suppress(InvalidInput):  # it is a letter all the same
                readable.append(request_from_json(raw))
        return int(requeued), readable

    def waiting(self, strategy: Strategy) -> int:
        """How many requests wait."""
        with reachable():
            return int(self._c.redis.zcard(self._c.layout.pending(strategy)))

    def oldest(self, strategy: Strategy) -> Waiting:
        """How many requests wait, and since when the oldest was asked for."""
        name = self._c.layout.pending(strategy)
        with reachable(), self._c.redis.pipeline(transaction=False) as pipe:
            count, first = pipe.zcard(name).zrange(name, 0, 0, withscores=True).execute()
        return Waiting(int(count), first[0][1] if first else None)

    def orphans(self) -> int:
        """Forget requests that neither wait nor are claimed; returns how many."""
        layout = self._c.layout
        with reachable(), self._c.redis.pipeline(transaction=True) as pipe:
            pipe.hkeys(layout.requests)
            pipe.zrange(layout.inflight, 0, -1)
            for strategy in Strategy:
                pipe.zrange(layout.pending(strategy), 0, -1)
            known, claims, *waiting = pipe.execute()
        needed = {claim.split(b"|", 2)[2] for claim in claims}.union(*waiting)
        orphans = [request for request in known if request not in needed]
        if orphans:
            with reachable():
                self._c.redis.hdel(layout.requests, *orphans)
        return len(orphans)


class RedisActivity:
    """What the tasks of the schedule last did, and their totals: what tells that beat is alive.

    On a full server figures are lost: no work fails since nobody could count it.
    """

    def __init__(self, connection: Connection) -> None:
        self._c = connection

    def record(self, task: str, worker: str, now: float, figures: Mapping[str, float]) -> None:
        """A task ended with these figures."""
        layout = self._c.layout
        last = json.dumps({"at": now, "worker": worker, "figures": dict(figures)})
        with suppress(CacheFull), reachable(), self._c.redis.pipeline() as pipe:
            pipe.hset(layout.activity, task, last)
            for name, figure in {"runs": 1, **figures}.items():
                pipe.hincrbyfloat(layout.totals, f"{task} {name}", figure)
            for name in (layout.activity, layout.totals):
                pipe.expire(name, ACTIVITY_KEPT_S)
            pipe.execute()

    def count(self, name: str) -> None:
        """One more of something, in the totals."""
        with suppress(CacheFull), reachable(), self._c.redis.pipeline() as pipe:
            pipe.hincrbyfloat(self._c.layout.totals, name, 1)
            pipe.expire(self._c.layout.totals, ACTIVITY_KEPT_S)
            pipe.execute()

    def last(self) -> dict[str, dict[str, Any]]:
        """By task: when it last ended, in which worker, with which figures."""
        with reachable():
            found = self._c.redis.hgetall(self._c.layout.activity)
        return {task.decode(): json.loads(raw) for task, raw in found.items()}

    def totals(self) -> dict[str, float]:
        """Sums over all runs by "task figure", and how many "task runs" there were."""
        with reachable():
            found = self._c.redis.hgetall(self._c.layout.totals)
        return {name.decode(): float(raw) for name, raw in found.items()}


def _stored(strategy: Strategy, request_id: str, raw: bytes) -> Request:
    """A request that waited. Raises InvalidInput when it is not what its place says."""
    request = request_from_json(raw)
    if request.id != request_id:
        raise InvalidInput("id", request.id, "the id that it is stored under")
    if request.strategy is not strategy:
        raise InvalidInput("strategy", request.strategy, f"{strategy}, under which it waited")
    return request


def _same_work(requests: Sequence[Request], stored: bytes) -> bool:
    try:
        return request_from_json(stored).content in [request.content for request in requests]
    except InvalidInput:
        return False
