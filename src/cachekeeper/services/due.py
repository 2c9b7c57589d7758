"""Sending what is due once more."""

from __future__ import annotations

import uuid
from typing import Final

from cachekeeper.core.due import Work
from cachekeeper.core.ports.pipeline import DeadLetters, Due, Sender
from cachekeeper.core.ports.tiers import Clock

CLAIMED_AT_ONCE: Final = 100
#: A sweep that dies after it has claimed delays what it claimed by this.
CLAIM_S: Final = 5.0


class DueSweep:
    """Claims, sends, forgets: in this order, so that a crash in between sends twice at worst.

    Sending twice is harmless, as requests have their effect once.
    """

    def __init__(self, *, due: Due, dead_letters: DeadLetters, sender: Sender, now: Clock) -> None:
        self._due, self._dead_letters, self._sender = due, dead_letters, sender
        self._now = now

    def run(self) -> dict[str, int]:
        """Send all that was due when the sweep began.

        Returns how much was sent, how much had expired, and how much could not be read and was
        buried.

        Raises:
            BrokerUnavailable: the rest is tried again by a later sweep.
        """
        began, token = self._now(), uuid.uuid4().hex
        figures = {"sent": 0, "expired": 0, "buried": 0}
        while self._now() < began + CLAIM_S:
            deadline = self._now() + CLAIM_S
            works, unreadable = self._due.claim(began, token, deadline, CLAIMED_AT_ONCE)
            for work in works:
                figures["sent" if self._send(work) else "expired"] += 1
                self._due.sent(token, work.id)
            for work_id, raw in unreadable.items():
                self._bury(work_id, raw)
                figures["buried"] += 1
                self._due.sent(token, work_id)
            if len(works) + len(unreadable) < CLAIMED_AT_ONCE:
                break
        return figures

    def _send(self, work: Work) -> bool:
        left = None if work.expires is None else work.expires - self._now()
        if left is not None and left <= 0:
            return False
        self._sender.send(
            work.task, work.arguments, queue=work.queue, expires_s=left, attempt=work.attempt
        )
        return True

    def _bury(self, work_id: str, raw: bytes) -> None:
        work = {"id": work_id, "stored": raw.decode(errors="replace")}
        self._dead_letters.bury(work, "due work that can't be read", self._now())
