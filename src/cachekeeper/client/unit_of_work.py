"""Invalidations that go with a transaction of the producer's database.

Between the commit of a database and an invalidation a process can die; the cache would then serve
what the database no longer says. So the invalidation is recorded before the commit (``prepare``),
and done if nobody takes it back: too much may be invalidated, too little never.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Iterable
from dataclasses import replace
from types import TracebackType

from cachekeeper.client.broker import Broker
from cachekeeper.client.receipt import ReceiptHandle
from cachekeeper.client.stores import Stores
from cachekeeper.core.keys import check_key, check_namespace, check_tag
from cachekeeper.core.receipt import pending_receipt
from cachekeeper.core.request import SEEDS_A_MARK, Request, make_request
from cachekeeper.core.strategy import STRATEGIES
from cachekeeper.errors import CacheUnavailable, InvalidInput
from cachekeeper.names import Task
from cachekeeper.store.redis.incarnation import lease_clock

log = logging.getLogger(__name__)

LONGEST_S = 86400


class UnitOfWork:
    """What one transaction makes stale; made by ``Cache.unit_of_work``.

    ::

        with cache.unit_of_work() as work:
            database.execute("UPDATE ...")
            work.invalidate("note:milk")
            work.prepare()      # just before the commit: recorded, whatever happens from here on
            database.commit()

    ``prepare`` records what was collected. Left without an error, or by ``commit``, the unit has it
    done at once; ``rollback`` cancels it; if neither comes within ``deadline_s`` of ``prepare``,
    since the process died, workers do it then. Left with an error, a unit that is not prepared is
    rolled back. One that is prepared is left to its deadline: nobody knows whether the database
    has committed before the error (its answer may be lost), unless ``rollback`` says so.

    ``deadline_s`` has to be longer than a commit of the database may take. A commit that takes
    longer is followed by a second invalidation, which only a process that dies there can't send.

    A unit is for one transaction and one thread. Units don't nest: an inner one would be done
    before the outer transaction has committed, so collect for savepoints in the unit of the
    transaction; what belongs to a savepoint that is rolled back is invalidated in vain. More than
    1000 names are several requests, each with a receipt.
    """

    def __init__(
        self,
        stores: Stores,
        broker: Broker,
        submit: Callable[[Request], object],
        *,
        deadline_s: float,
        strategy: str,
        consistency: str,
        cascade: bool,
        reason: str,
        by: str,
    ) -> None:
        if isinstance(deadline_s, bool) or not isinstance(deadline_s, int | float):
            raise InvalidInput("deadline_s", deadline_s, "a number of seconds")
        if not 0 < deadline_s <= LONGEST_S:
            raise InvalidInput(
                "deadline_s", deadline_s, f"more than 0, at most {LONGEST_S} seconds"
            )
        self._stores, self._broker, self._submit = stores, broker, submit
        self._deadline_s = deadline_s
        #: Checked now, and not when the transaction is about to commit.
        self._like = make_request(
            id="unit-of-work",
            at=0,
            namespaces=["any"],
            strategy=strategy,
            consistency=consistency,
            cascade=cascade,
            reason=reason,
            by=by,
        )
        self._names: dict[tuple[str, str], None] = {}  # ("keys", "note:milk"): in order, once
        self._recorded: list[Request] = []
        self._recorded_names = 0
        self._first_recorded = 0.0  # on the lease clock
        self._committed = self._ended = False
        #: Whether ``prepare`` was called.
        self.prepared = False
        #: A handle of each request, once the unit is committed.
        self.receipts: list[ReceiptHandle] = []

    def invalidate(
        self,
        keys: str | Iterable[str] = (),
        *,
        tag: str | None = None,
        namespace: str | None = None,
    ) -> None:
        """Collect what the transaction makes stale: keys, a tag or a namespace.

        After ``prepare`` it is recorded at once, with a deadline of its own.

        Raises:
            InvalidInput: a name is malformed (nothing was collected), or the unit has ended.
            CacheUnavailable, CacheFull: the unit is prepared, and this could not be: roll back.
        """
        self._check_goes_on()
        if not isinstance(keys, Iterable):
            raise InvalidInput("keys", keys, "a list of texts")
        listed = [keys] if isinstance(keys, str) else keys
        more = [("keys", check_key(key, f"keys[{i}]")) for i, key in enumerate(listed)]
        if tag is not None:
            more.append(("tags", check_tag(tag, "tag")))
        if namespace is not None:
            more.append(("namespaces", check_namespace(namespace)))
        self._names.update(dict.fromkeys(more))
        if self.prepared:
            self.prepare()

    def prepare(self) -> None:
        """Record all that was collected, just before the transaction commits.

        From here on it is done at its deadline, if not before, unless ``rollback`` cancels it.

        Raises:
            CacheUnavailable, CacheFull: it is not recorded: roll back.
            InvalidInput: the unit has ended.
        """
        self._check_goes_on()
        names = list(self._names)[self._recorded_names :]
        if names:
            requests = [
                self._request(names[start : start + SEEDS_A_MARK])
                for start in range(0, len(names), SEEDS_A_MARK)
            ]
            began = lease_clock()
            self._stores.prepared.prepare(requests, self._deadline_s)
            self._first_recorded = self._first_recorded or began
            self._recorded += requests
            self._recorded_names = len(self._names)
        self.prepared = True

    def commit(self) -> list[ReceiptHandle]:
        """The transaction has committed: have done what was collected; a handle of each request.

        What could not be sent, since a server was away, stays recorded and is done at its deadline:
        a warning is logged, and its receipt is pending. Called again it changes nothing.

        Raises:
            CacheUnavailable, CacheFull: the server is away, and the unit was not prepared or its
                deadline has passed: what was collected may be served stale until a second call
                succeeds.
            InvalidInput: the unit was rolled back.
        """
        if not self._committed:
            self.prepare()
            done = self._released() if self._recorded else []
            self.receipts = [ReceiptHandle(each.id, self._stores.receipts) for each in done]
            self._committed = self._ended = True
        return self.receipts

    def rollback(self) -> None:
        """The transaction was rolled back, for certain: nothing is stale.

        With the server away it can't be cancelled, and is done at its deadline: a warning is
        logged. After ``commit`` it changes nothing.
        """
        if self._recorded and not self._ended:
            try:
                self._stores.prepared.cancel([request.id for request in self._recorded])
            except CacheUnavailable as error:
                log.warning("%s: not cancelled, done at its deadline: %s", self._ids(), error)
        self._ended = True

    def __enter__(self) -> UnitOfWork:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._ended:
            return
        if kind is None:
            self.commit()
        elif not self.prepared:
            self.rollback()
        else:
            self._ended = True
            if self._recorded:
                log.warning("%s: left by an error, done at its deadline: %r", self._ids(), error)

    def _request(self, names: list[tuple[str, str]]) -> Request:
        fields = {
            field: tuple(name for of, name in names if of == field)
            for field in ("keys", "tags", "namespaces")
        }
        return replace(self._like, id=uuid.uuid4().hex, at=time.time(), **fields)  # type: ignore[arg-type]  # by name

    def _released(self) -> list[Request]:
        """The requests, sent as far as that was possible."""
        try:
            requests = self._stores.prepared.release(self._recorded)
        except CacheUnavailable as error:
            if lease_clock() - self._first_recorded > self._deadline_s:
                raise  # perhaps done before the transaction has committed, which does not count
            log.warning("%s: not sent, done at its deadline: %s", self._ids(), error)
            return self._recorded
        try:
            self._send(requests)
            self._stores.prepared.forget([request.id for request in requests])
        except Exception as error:  # the transaction has committed, and all of it is recorded
            log.warning("%s: not all sent, done at its deadline: %s", self._ids(), error)
        return requests

    def _send(self, requests: list[Request]) -> None:
        rule = STRATEGIES[self._like.strategy]
        if rule.waits:
            for request in requests:
                self._submit(request)
            return
        for request in requests:  # before any is sent: the broker may be away
            self._stores.receipts.open(pending_receipt(request))
        for request in requests:
            self._broker.send(Task.INVALIDATE, request.to_wire(), queue=rule.queue)

    def _ids(self) -> str:
        return f"unit of work {', '.join(request.id for request in self._recorded)}"

    def _check_goes_on(self) -> None:
        if self._ended:
            raise InvalidInput("unit of work", "ended", "one that was not committed or rolled back")
