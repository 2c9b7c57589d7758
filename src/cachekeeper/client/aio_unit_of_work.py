"""A unit of work, for asyncio."""

from __future__ import annotations

from collections.abc import Iterable
from types import TracebackType

from cachekeeper.client.aio_reading import Threads
from cachekeeper.client.aio_receipt import AsyncReceiptHandle
from cachekeeper.client.unit_of_work import UnitOfWork


class AsyncUnitOfWork:
    """One transaction, as ``UnitOfWork``; made by ``AsyncCache.unit_of_work``."""

    def __init__(self, unit: UnitOfWork, threads: Threads) -> None:
        self._unit, self._threads = unit, threads

    @property
    def prepared(self) -> bool:
        """Whether ``prepare`` was called."""
        return self._unit.prepared

    @property
    def receipts(self) -> list[AsyncReceiptHandle]:
        """A handle of each request, once the unit is committed."""
        return [AsyncReceiptHandle(handle, self._threads) for handle in self._unit.receipts]

    async def invalidate(
        self,
        keys: str | Iterable[str] = (),
        *,
        tag: str | None = None,
        namespace: str | None = None,
    ) -> None:
        """Collect what the transaction makes stale, as ``UnitOfWork.invalidate``.

        Raises:
            InvalidInput: a name is malformed, or the unit has ended.
            CacheUnavailable, CacheFull: the unit is prepared, and this could not be: roll back.
        """
        await self._threads.run(self._unit.invalidate, keys, tag=tag, namespace=namespace)

    async def prepare(self) -> None:
        """Record all that was collected, just before the transaction commits.

        Raises:
            CacheUnavailable, CacheFull: it is not recorded: roll back.
        """
        await self._threads.run(self._unit.prepare)

    async def commit(self) -> list[AsyncReceiptHandle]:
        """The transaction has committed, as ``UnitOfWork.commit``.

        Raises:
            CacheUnavailable, CacheFull: nothing of it was recorded in time; call it again.
        """
        await self._threads.run(self._unit.commit)
        return self.receipts

    async def rollback(self) -> None:
        """The transaction was rolled back: nothing is stale."""
        await self._threads.run(self._unit.rollback)

    async def __aenter__(self) -> AsyncUnitOfWork:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._threads.run(self._unit.__exit__, kind, error, trace)
