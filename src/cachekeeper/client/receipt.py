"""A handle on an invalidation that goes on in a worker."""

from __future__ import annotations

import time
from dataclasses import dataclass

from cachekeeper.core.request import Receipt
from cachekeeper.errors import InvalidInput, ReceiptTimeout
from cachekeeper.store.redis.records import RedisReceipts

FIRST_POLL_S = 0.002
LONGEST_POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class ReceiptHandle:
    """The id of a request; works from any process that reaches the same server."""

    id: str
    receipts: RedisReceipts

    def read(self) -> Receipt:
        """The receipt as it stands. Raises InvalidInput when it is unknown or too old."""
        receipt = self.receipts.load(self.id)
        if receipt is None:
            raise InvalidInput("id", self.id, "a request of the last hour (setting record_s)")
        return receipt

    def wait(self, timeout: float) -> Receipt:
        """The receipt once the request has ended; ``timeout`` in seconds.

        Raises:
            ReceiptTimeout: it goes on still.
        """
        end, pause = time.monotonic() + timeout, FIRST_POLL_S
        while True:
            receipt = self.read()
            if receipt.ended:
                return receipt
            if time.monotonic() + pause > end:
                raise ReceiptTimeout(f"request {self.id} is {receipt.status} after {timeout} s")
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_POLL_S)
