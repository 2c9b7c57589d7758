"""Putting a request where it waits: one piece of work once, and never more than may wait."""

from __future__ import annotations

from dataclasses import dataclass

from cachekeeper.core.ports.pipeline import Inbox
from cachekeeper.core.receipt import pending_receipt
from cachekeeper.core.request import Request
from cachekeeper.errors import PendingFull

#: Widened requests may wait beyond the cap: there is one for a namespace at most.
WIDENED_MORE = 1000


@dataclass(frozen=True, slots=True)
class Submitter:
    """``cap`` requests may wait in a strategy; then they are widened to namespaces, or refused."""

    inbox: Inbox
    cap: int
    widens: bool

    def submit(self, request: Request) -> int:
        """Put a request where it waits, once; returns how many wait with it.

        Raises:
            PendingFull: there is no room, even for whole namespaces; nothing was asked for.
            CacheUnavailable: nothing was asked for.
        """
        receipt = pending_receipt(request)
        waiting, stands_for = self.inbox.submit(receipt, request, self.cap)
        if not stands_for and self.widens:
            wide = request.widened()
            receipt.limits.append(
                f"pending set full ({waiting} requests, setting pending_cap): "
                f"widened to the namespaces {', '.join(wide.namespaces)}"
            )
            waiting, stands_for = self.inbox.submit(receipt, wide, self.cap + WIDENED_MORE)
        if not stands_for:
            raise PendingFull(
                f"{waiting} requests wait under the strategy {request.strategy} "
                "(setting pending_cap); this one was refused"
            )
        return waiting
