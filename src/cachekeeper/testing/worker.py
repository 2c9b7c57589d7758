"""The broker and the worker of the kit: what is sent is done before ``send`` returns."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping, Sequence

from cachekeeper.client.cache import FLUSH
from cachekeeper.core.receipt import Receipt, Status, pending_receipt
from cachekeeper.core.request import Request, request_from_wire
from cachekeeper.core.strategy import Strategy
from cachekeeper.names import Task
from cachekeeper.testing.stores import Devices, Graph, Lifetimes, Marks, Prepared, Receipts, Shelf

AFFECTED_SHOWN = 100


class Worker:
    """Stands for the broker, the stores and the worker of a deployment."""

    def __init__(self, shelf: Shelf) -> None:
        self.marks, self.graph, self.receipts = Marks(shelf), Graph(), Receipts()
        self.pending, self.prepared = self, Prepared()
        self.expiry, self.devices = Lifetimes(), Devices()
        self.requests: dict[str, Request] = {}
        self.affected: dict[str, list[str]] = {}
        self._lock = threading.RLock()

    def submit(self, receipt: Receipt, request: Request, _at_most: int) -> tuple[int, str]:
        """Append a request to what waits, as ``RedisPending``: how many wait with it, and its id.

        Every request of a test is done by itself, and there is room for all.
        """
        with self._lock:
            self.requests[request.id] = request
            self.receipts.open(receipt)
            return len(self._waiting(request.strategy)), request.id

    def send(self, task: str, arguments: Mapping[str, object], **_how: object) -> str:
        """Do a task, as ``Broker``; returns the id of the request, if it is one."""
        if task == Task.INVALIDATE:
            request = request_from_wire(arguments)
            with self._lock:
                self.requests[request.id] = request
                self._run([request])
            return request.id
        for strategy in (s for s, flush in FLUSH.items() if flush == task):
            self.flush(strategy)
        return ""

    def flush(self, strategy: Strategy) -> list[Receipt]:
        """Do all that waits under a strategy."""
        with self._lock:
            return self._run(self._waiting(strategy))

    def _waiting(self, strategy: Strategy) -> list[Request]:
        left = [r for r in self.requests.values() if r.id not in self.affected]
        return [request for request in left if request.strategy is strategy]

    def _run(self, requests: Sequence[Request]) -> list[Receipt]:
        receipts = [self._done(request, len(requests)) for request in requests]
        self.receipts.save(receipts)
        return receipts

    def _done(self, request: Request, batch: int) -> Receipt:
        receipt = pending_receipt(request)
        receipt.batch, receipt.worker_pid, receipt.started = batch, os.getpid(), time.time()
        moment, stale = self.marks.mark(request, receipt.started)
        affected = [*(key for key in request.keys if key not in stale), *stale]
        self.affected[request.id] = affected
        receipt.affected, receipt.affected_count = affected[:AFFECTED_SHOWN], len(affected)
        receipt.epoch, receipt.verified = moment.epoch, ["memory"]
        receipt.batch_removed, receipt.purged = {"memory": len(stale)}, True
        receipt.status, receipt.marked = Status.DONE, time.time()
        receipt.finished = receipt.marked
        return receipt
