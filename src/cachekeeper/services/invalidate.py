"""The way of an invalidation in a worker: mark, let the nodes follow, purge, write the receipt."""

from __future__ import annotations

import time
from collections.abc import Sequence

from cachekeeper.core.graph import Affected
from cachekeeper.core.ports import Clock, Garbage, Marks, Nodes, Receipts
from cachekeeper.core.request import (
    Receipt,
    Request,
    Status,
    failed_receipt,
    pending_receipt,
)
from cachekeeper.core.strategy import CONSISTENCIES, STRATEGIES
from cachekeeper.services.purge import Purger

AFFECTED_SHOWN = 100
POLL_S = 0.001
#: What no receipt of this version vouches for.
NOT_VERIFIED = ["a server that was restored from an older state"]


class Invalidator:
    """Carries out requests. ``worker`` is the pid that receipts name."""

    def __init__(
        self,
        *,
        marks: Marks,
        nodes: Nodes,
        receipts: Receipts,
        garbage: Garbage,
        purger: Purger,
        outwait_s: float,
        now: Clock,
        worker: int,
    ) -> None:
        self._marks, self._nodes, self._receipts = marks, nodes, receipts
        self._garbage, self._purger = garbage, purger
        self._outwait_s, self._now, self._worker = outwait_s, now, worker

    def run(self, requests: Sequence[Request]) -> list[Receipt]:
        """Invalidate a batch; sending a request twice has its effect once."""
        receipts = [self._begin(request, len(requests)) for request in requests]
        for request, receipt in zip(requests, receipts, strict=True):
            receipt.epoch = self._marks.mark(request, self._now())
            receipt.marked = self._now()
        strict = any(CONSISTENCIES[r.consistency].verified for r in requests)
        self._follow(receipts, wait=strict)
        self._purge(requests, receipts)
        for receipt in receipts:
            receipt.finished = self._now()
        self._receipts.save(receipts)
        return receipts

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

    def _follow(self, receipts: Sequence[Receipt], *, wait: bool) -> None:
        """Find out which nodes have dropped what was marked.

        A node serves from memory only within a lease that it counts from when it last *asked*
        for the log, and it applies what it is told before it extends the lease. So one that has
        not asked since the mark can't serve once a lease (and drift) has passed, cut off or not.
        """
        epoch = max(receipt.epoch for receipt in receipts)
        end = time.monotonic() + self._outwait_s
        asked = sorted(self._nodes.acknowledged())
        silent = asked
        while True:
            acks = self._nodes.acknowledged()
            silent = [node for node in silent if acks.get(node, epoch) < epoch]
            outwaited = time.monotonic() >= end
            if not silent or not wait or outwaited:
                break
            time.sleep(POLL_S)
        if wait:
            self._nodes.leave(silent)
        clean = not silent or wait
        for receipt in receipts:
            receipt.nodes_asked, receipt.nodes_silent = asked, silent
            receipt.verified = ["disk", "redis", *(["memory"] if clean else [])]
            receipt.not_verified = NOT_VERIFIED + ([] if clean else ["memory of silent nodes"])
            receipt.status = Status.DONE

    def _purge(self, requests: Sequence[Request], receipts: Sequence[Receipt]) -> None:
        at_once: list[str] = []
        for request, receipt in zip(requests, receipts, strict=True):
            reached = self._reach(request)
            _report(receipt, request, reached)
            if STRATEGIES[request.strategy].purges:
                at_once.extend(reached.order)
            else:
                self._garbage.add(reached.order, self._now())
        if at_once:
            removed = self._purger.remove(list(dict.fromkeys(at_once)))
            for receipt in receipts:
                receipt.removed = removed

    def _reach(self, request: Request) -> Affected:
        if not request.cascade:
            return Affected(list(request.keys), 0)
        return self._purger.reach(request.keys)


def _report(receipt: Receipt, request: Request, reached: Affected) -> None:
    receipt.affected = reached.order[:AFFECTED_SHOWN]
    receipt.affected_count, receipt.depth = len(reached.order), reached.depth
    if reached.beyond:
        receipt.limits.append(
            f"depth limit: the purge stopped before {len(reached.beyond)} deeper keys; "
            "they are stale by their stamps and go when read or expired"
        )
    if reached.cycles:
        receipt.limits.append(f"{len(reached.cycles)} cycles, each removed as a whole")
    if request.tags or request.namespaces:
        receipt.limits.append(
            "tags and namespaces: what they hold is stale by its stamp, gone when read or expired"
        )
