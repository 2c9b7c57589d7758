"""Draining the pending set of a strategy that waits, batch after batch."""

from __future__ import annotations

import uuid

from cachekeeper.core.ports import Clock, Pending
from cachekeeper.core.receipt import Receipt
from cachekeeper.core.request import Request
from cachekeeper.core.strategy import Strategy
from cachekeeper.errors import InvalidInput
from cachekeeper.services.invalidate import Invalidator


class Flusher:
    """Claims, invalidates, completes. A killed flush comes back when its deadline has passed."""

    def __init__(
        self, pending: Pending, invalidator: Invalidator, deadline_s: float, now: Clock
    ) -> None:
        self._pending, self._invalidator = pending, invalidator
        self._deadline_s, self._now = deadline_s, now

    def flush(self, strategy: Strategy, batch: int) -> list[Receipt]:
        """Invalidate all that waited when the call began, at most ``batch`` requests at a time."""
        done: list[Receipt] = []
        began = self._now()
        while self._now() - began < self._deadline_s:
            token = uuid.uuid4().hex
            deadline = self._now() + self._deadline_s
            requests = self._pending.claim(strategy, token, batch, deadline)
            if not requests:
                break
            done += self._run(strategy, token, requests)
            self._pending.complete(strategy, token, [request.id for request in requests])
            if len(requests) < batch:
                break
        return done

    def _run(self, strategy: Strategy, token: str, requests: list[Request]) -> list[Receipt]:
        """Invalidate; one request that never can be is put aside, and the others go on."""
        try:
            return self._invalidator.run(requests)
        except InvalidInput as error:
            if len(requests) > 1:  # what was done of them already is done once
                return [done for each in requests for done in self._run(strategy, token, [each])]
            (request,) = requests
            self._pending.bury(strategy, token, request.id, request.to_wire(), str(error))
            return []
