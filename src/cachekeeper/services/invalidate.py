"""The way of an invalidation in a worker: mark, confirm, receipt; then purge, as hygiene."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

from cachekeeper.core.graph.reach import Reach
from cachekeeper.core.ports.pipeline import Counters, Leftovers, Receipts
from cachekeeper.core.ports.tiers import Clock, Garbage, Marks
from cachekeeper.core.receipt import SHOWN, Receipt, Status, failed_receipt, pending_receipt
from cachekeeper.core.request import Request
from cachekeeper.core.stamps import Moment
from cachekeeper.core.strategy import CONSISTENCIES, STRATEGIES, Strategy
from cachekeeper.errors import CacheFull
from cachekeeper.services.confirm import Confirmation, Confirmer
from cachekeeper.services.purge import Purger

ATTEMPTS = 4
PUT_OFF_AT_ONCE = 10  # requests of one task: others are to have their turn in between
LEFT_LOST = "what was left to purge is not known any more: it goes when read or expired"
NOT_PURGED = "tags and namespaces: what they hold is stale by its stamp, gone when read or expired"


class Invalidator:
    """Carries out requests.

    ``defer`` has ``finish`` called in the background with the ids of requests; ``worker`` is the
    pid that receipts name.
    """

    def __init__(
        self,
        *,
        marks: Marks,
        confirmer: Confirmer,
        receipts: Receipts,
        garbage: Garbage,
        purger: Purger,
        leftovers: Leftovers,
        counters: Counters,
        defer: Callable[[Sequence[str]], None],
        now: Clock,
        worker: int,
    ) -> None:
        self._marks, self._confirmer, self._receipts = marks, confirmer, receipts
        self._garbage, self._purger, self._defer = garbage, purger, defer
        self._leftovers, self._counters = leftovers, counters
        self._now, self._worker = now, worker

    def run(self, requests: Sequence[Request]) -> list[Receipt]:
        """Invalidate a batch; sending a request twice has its effect once.

        Raises:
            InvalidInput: the id of one was used for other names; those before it are marked.
        """
        receipts = [self._begin(request, len(requests)) for request in requests]
        strict = any(CONSISTENCIES[request.consistency].verified for request in requests)
        seen = self._mark_and_confirm(requests, receipts, strict=strict)
        for request, receipt in zip(requests, receipts, strict=True):
            _conclude(receipt, seen, strict=CONSISTENCIES[request.consistency].verified)
            receipt.finished = self._now()
        # The promise is kept from here on, however long it takes to remove bytes.
        self._receipts.save(receipts)
        self._purge(requests, receipts)
        return receipts

    def finish(self, ids: Iterable[str]) -> int:
        """Purge what was too much to be purged at once; returns how many keys that were."""
        return sum(map(self._finish, ids))

    def _finish(self, request_id: str) -> int:
        receipt = self._receipts.load(request_id)
        left = self._leftovers.load(request_id)
        reached = self._purger.all(left)
        if receipt is None:  # long ago: nobody waits for it
            self._purger.remove(reached.order)
        elif not receipt.purged and not left:
            receipt.limits.append(LEFT_LOST)
            self._receipts.save([receipt])
        elif not receipt.purged:
            self._report(receipt, reached)
            removed = self._remove(receipt.strategy, reached.order)
            before = receipt.batch_removed
            receipt.batch_removed = {tier: n + before.get(tier, 0) for tier, n in removed.items()}
            receipt.purged = True
            self._receipts.save([receipt])
        self._leftovers.drop(request_id)
        return len(reached.order)

    def refuse(self, request: Request, error: Exception) -> Receipt:
        """The receipt of a request that was given up."""
        receipt = failed_receipt(request, f"{type(error).__name__}: {error}", self._now())
        receipt.worker_pid = self._worker
        self._receipts.save([receipt])
        return receipt

    def _begin(self, request: Request, batch: int) -> Receipt:
        receipt = pending_receipt(request)
        receipt.batch, receipt.worker_pid, receipt.started = batch, self._worker, self._now()
        return receipt

    def _mark_and_confirm(
        self, requests: Sequence[Request], receipts: Sequence[Receipt], *, strict: bool
    ) -> Confirmation:
        if not strict:
            return self._confirmer.look(self._mark(requests, receipts))
        attempts = 0
        while True:  # a mark that a restarted server may have lost is set again
            attempts += 1
            seen = self._confirmer.confirm(self._mark(requests, receipts))
            if seen.holds or attempts == ATTEMPTS:
                return seen

    def _mark(self, requests: Sequence[Request], receipts: Sequence[Receipt]) -> Moment:
        moments = self._marks.mark(requests, self._now())
        for moment, receipt in zip(moments, receipts, strict=True):
            receipt.epoch, receipt.marked = moment.epoch, self._now()
        return max(moments)

    def _purge(self, requests: Sequence[Request], receipts: Sequence[Receipt]) -> None:
        at_once: list[str] = []
        deferred: list[tuple[Request, Receipt]] = []
        for request, receipt in zip(requests, receipts, strict=True):
            reached = self._purger.near(request)
            self._report(receipt, reached)
            if request.tags or request.namespaces:
                receipt.limits.append(NOT_PURGED)
            goes_on = self._purger.limits.goes_on and (reached.unfinished or reached.beyond)
            receipt.purged = not goes_on
            if goes_on:
                deferred.append((request, receipt))
            if not (goes_on and len(request.keys) > self._purger.limits.budget):
                at_once.extend(reached.order)
        # A batch is of one strategy.
        removed = self._remove(requests[0].strategy, _unique(at_once)) if at_once else {}
        for receipt in receipts:
            receipt.batch_removed = removed
        self._receipts.save(receipts)
        if deferred:  # not before: its end is written into the receipts, too
            self._put_off(deferred)

    def _put_off(self, deferred: Iterable[tuple[Request, Receipt]]) -> None:
        """Have the rest purged in the background."""
        kept = []
        for request, receipt in deferred:
            try:
                self._leftovers.put(request.id, request.keys)
                kept.append(request.id)
            except CacheFull:
                receipt.limits.append(LEFT_LOST)
                self._receipts.save([receipt])
        for start in range(0, len(kept), PUT_OFF_AT_ONCE):
            self._defer(kept[start : start + PUT_OFF_AT_ONCE])

    def _remove(self, strategy: Strategy, keys: Sequence[str]) -> dict[str, int]:
        """Remove bytes, now or at the next sweep; returns how many entries there were, by tier."""
        if STRATEGIES[strategy].purges:
            return self._purger.remove(keys)
        with suppress(CacheFull):  # their stamps refuse them all the same
            self._garbage.add(keys, self._now())
        return {}

    def _report(self, receipt: Receipt, reached: Reach) -> None:
        """Say what was found, and every limit that was met: in the receipt, and in a count."""
        receipt.affected = list(reached.order[:SHOWN])
        receipt.affected_count, receipt.depth = len(reached.order), reached.depth
        receipt.limits += self._purger.limits.met(reached)
        if reached.unfinished:
            self._counters.count("purges beyond their size budget")
        if reached.beyond:
            self._counters.count("purges beyond their depth limit")


def _unique(keys: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(keys))


def _conclude(receipt: Receipt, seen: Confirmation, *, strict: bool) -> None:
    receipt.nodes_asked, receipt.nodes_fenced = seen.asked, seen.fenced
    receipt.verified = ["disk", "redis", *(["memory"] if seen.holds else [])]
    receipt.status = Status.DONE if seen.holds or not strict else Status.UNKNOWN
    if not seen.holds and strict:
        receipt.error = "the server restarted while the nodes were asked"
