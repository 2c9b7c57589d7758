"""Draining the pending set of a strategy that waits, batch after batch."""

from __future__ import annotations

import uuid

from cachekeeper.core.dead import kind_of, reason_of
from cachekeeper.core.due import Work
from cachekeeper.core.ports.pipeline import Pending
from cachekeeper.core.ports.tiers import Clock
from cachekeeper.core.receipt import Receipt
from cachekeeper.core.request import Request
from cachekeeper.core.strategy import CONSISTENCIES, STRATEGIES, Strategy
from cachekeeper.errors import CacheUnavailable, PermanentError
from cachekeeper.names import Task
from cachekeeper.services.invalidate import Invalidator
from cachekeeper.services.retry import SHOWN, Retrier


class Flusher:
    """Claims, invalidates, completes.

    A flush that is told to stop (SystemExit) hands back what it has not completed; one that is
    killed comes back when its deadline has passed.
    """

    def __init__(
        self,
        *,
        pending: Pending,
        invalidator: Invalidator,
        retrier: Retrier,
        deadline_s: float,
        now: Clock,
    ) -> None:
        self._pending, self._invalidator, self._retrier = pending, invalidator, retrier
        self._deadline_s, self._now = deadline_s, now

    def flush(self, strategy: Strategy, batch: int) -> list[Receipt]:
        """Invalidate all that waited when the call began, at most ``batch`` requests at a time."""
        done: list[Receipt] = []
        began, left = self._now(), self._pending.waiting(strategy)
        while left > 0 and self._now() - began < self._deadline_s:
            token = uuid.uuid4().hex
            deadline = self._now() + self._deadline_s
            requests = self._pending.claim(strategy, token, min(batch, left), deadline)
            if not requests:  # somebody else has them
                break
            left -= len(requests)
            try:
                done += self._run(strategy, token, requests)
            except SystemExit:  # the process is told to stop: nobody is to wait for the deadline
                ids = [request.id for request in requests]
                self._pending.hand_back(strategy, token, ids, self._now())
                raise
        return done

    def _run(self, strategy: Strategy, token: str, requests: list[Request]) -> list[Receipt]:
        """Invalidate and complete; what fails does not keep the others from being done."""
        try:
            receipts = self._invalidator.run(requests)
        except CacheUnavailable:
            raise  # they come back at their deadline
        except Exception as error:
            if len(requests) > 1:  # what was done of them already is done once
                return [done for each in requests for done in self._run(strategy, token, [each])]
            self._failed(strategy, token, requests[0], error)
            return []
        self._pending.complete(strategy, token, [request.id for request in requests])
        return receipts

    def _failed(self, strategy: Strategy, token: str, request: Request, error: Exception) -> None:
        """Have one request tried again by itself, within its bound, or put it aside."""
        if request.is_bulk and not isinstance(error, PermanentError):
            return  # too much for the due list: it comes back at its deadline
        rule, wire = CONSISTENCIES[request.consistency], request.to_wire()
        work = Work(
            id=request.id,
            task=Task.INVALIDATE,
            queue=STRATEGIES[strategy].queue,
            arguments=wire,
            retries=1,
            first_failed=self._now(),
            reason=reason_of(error)[:SHOWN],
        )
        again = self._retrier.later(work, error, allowed=rule.retries, within_s=rule.delay_s)
        if again is None:
            kind, reason = kind_of(error), reason_of(error)
            self._pending.bury(strategy, token, request.id, wire, reason, kind=kind)
        else:
            self._pending.complete(strategy, token, [request.id])
