"""A handle on an invalidation that goes on in a worker."""

from __future__ import annotations

import time
from dataclasses import dataclass

from cachekeeper.core.receipt import Receipt, Status
from cachekeeper.errors import InvalidInput, ReceiptTimeout
from cachekeeper.store.redis.records import RedisReceipts

LONGEST_WAIT_S = 0.05  # without hearing anything: somebody else may have heard it


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

    def wait(self, timeout: float, *, purged: bool = False) -> Receipt:
        """The receipt once the request has ended; ``timeout`` in seconds.

        From then on nothing older is read. Bytes are removed after that, and what was affected
        is in the receipt once they are: ``purged`` waits for that too.

        Raises:
            ReceiptTimeout: it goes on still.
        """
        end = time.monotonic() + timeout
        receipt = self.read()
        while not receipt.ended or (
            purged and not receipt.purged and receipt.status is not Status.FAILED
        ):
            left = end - time.monotonic()
            if left <= 0:
                raise ReceiptTimeout(f"request {self.id} is {receipt.status} after {timeout} s")
            heard = self.receipts.listen(self.id, max(0.001, min(left, LONGEST_WAIT_S)))
            receipt = heard or self.read()
        return receipt
