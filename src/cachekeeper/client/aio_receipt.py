"""A handle on an invalidation, for asyncio."""

from __future__ import annotations

import asyncio
import time
from functools import partial

from cachekeeper.client.aio_reading import Threads
from cachekeeper.client.receipt import ReceiptHandle
from cachekeeper.core.receipt import Receipt
from cachekeeper.errors import ReceiptTimeout

#: How often a receipt that is waited for is looked at.
FIRST_LOOK_S = 0.002
LONGEST_PAUSE_S = 0.05


class AsyncReceiptHandle:
    """The id of a request, as ``ReceiptHandle``."""

    def __init__(self, handle: ReceiptHandle, threads: Threads) -> None:
        self.id = handle.id
        self._handle, self._threads = handle, threads

    async def read(self) -> Receipt:
        """The receipt as it stands. Raises InvalidInput when it is unknown or too old."""
        return await self._threads.run(self._handle.read)

    async def wait(self, timeout: float, *, purged: bool = False) -> Receipt:  # noqa: ASYNC109  # the same name as ReceiptHandle.wait
        """The receipt once the request has ended, as ``ReceiptHandle.wait``; in seconds.

        Raises:
            ReceiptTimeout: it goes on still.
        """
        end, pause = time.monotonic() + timeout, FIRST_LOOK_S
        look = partial(self._handle.wait, 0, purged=purged)
        while True:  # no thread is held between two looks
            try:
                return await self._threads.run(look)
            except ReceiptTimeout:
                if time.monotonic() + pause > end:
                    raise ReceiptTimeout(
                        f"request {self.id} has not ended after {timeout} s"
                    ) from None
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_S)
