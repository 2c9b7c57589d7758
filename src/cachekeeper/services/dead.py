"""Dead letters: looking through them, doing their work after all, dropping them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

from cachekeeper.core.dead import Kind, Letter, Selection
from cachekeeper.core.due import Attempt
from cachekeeper.core.ports.pipeline import LettersKept, ReopenableReceipts, Sender
from cachekeeper.core.receipt import Status, failed_receipt, pending_receipt
from cachekeeper.core.request import Request, make_request
from cachekeeper.core.strategy import STRATEGIES, Strategy
from cachekeeper.errors import InvalidInput
from cachekeeper.names import QUEUES, ROUTES, Task


class DeadLetterOffice:
    """What operators do with dead letters."""

    def __init__(
        self,
        *,
        letters: LettersKept,
        receipts: ReopenableReceipts,
        sender: Sender,
    ) -> None:
        self._letters, self._receipts, self._sender = letters, receipts, sender

    def find(self, selection: Selection) -> Iterator[Letter]:
        """The letters that are meant, the newest first.

        Raises:
            InvalidInput: one that is meant by its id is not there.
        """
        if not selection.ids:
            return filter(selection.takes, self._letters.newest())
        found = {letter.id: letter for letter in self._letters.load(sorted(selection.ids))}
        if missing := sorted(selection.ids - found.keys()):
            raise InvalidInput("id", missing[0], "one that `cachekeeper dead list` shows")
        newest_first = sorted(found.values(), key=lambda letter: letter.died, reverse=True)
        return filter(selection.takes, newest_first)

    def figures(self) -> dict[str, int]:
        """How many letters are kept, of how many bytes, and how many were dropped for room."""
        return self._letters.figures()

    def check(self, letter: Letter) -> Request | None:
        """Whether the work of a letter can be sent again; the request, if it is one.

        Raises:
            InvalidInput: says why not.
        """
        if letter.kind is Kind.MALFORMED:
            raise InvalidInput("id", letter.id, "what is well-formed; this can only fail again")
        if letter.task not in ROUTES:
            raise InvalidInput("task", letter.task, ", ".join(sorted(ROUTES)))
        if letter.task == Task.INVALIDATE:
            filled_in = {"id": letter.work.get("id"), "at": letter.first_seen}
            return make_request(**filled_in | dict(letter.arguments))
        return None

    def replay(self, letter: Letter) -> None:
        """Do the work after all, as if it were new; the letter goes once that is on its way.

        A request keeps its id, and its receipt begins anew. One that waited for its batch is done
        without waiting again, behind other work of its strategy.

        Raises:
            InvalidInput: it can't be sent again; says why.
            BrokerUnavailable, CacheUnavailable: it was not sent; the letter stays.
        """
        request = self.check(letter)
        if request is None:
            self._send(letter, letter.arguments)
        else:
            with self._failed_unless_sent(letter, request):
                self._begin_anew(letter, request)
        self.drop(letter)

    def drop(self, letter: Letter) -> bool:
        """Forget a letter; False when somebody else has."""
        return self._letters.remove([letter.id]) == 1

    def _begin_anew(self, letter: Letter, request: Request) -> None:
        rule = STRATEGIES[request.strategy]
        if rule.waits:  # it has waited, and a pending set takes no request that was marked
            request = replace(request, strategy=Strategy.IMMEDIATE)
        self._receipts.reopen(pending_receipt(request))
        self._send(letter, request.to_wire(), rule.queue)

    def _send(
        self, letter: Letter, arguments: Mapping[str, object], queue: str | None = None
    ) -> None:
        came_from = letter.work.get("queue")
        self._sender.send(
            letter.task,
            arguments,
            queue=came_from if came_from in QUEUES else queue,
            attempt=Attempt(str(letter.work["id"])) if "id" in letter.work else None,
        )

    @contextmanager
    def _failed_unless_sent(self, letter: Letter, request: Request) -> Iterator[None]:
        before = self._receipts.load(request.id)
        try:
            yield
        except Exception:
            if before is None or before.status is Status.FAILED:
                failed = failed_receipt(request, letter.reason, letter.died)
                self._receipts.save([before or failed])
            raise
