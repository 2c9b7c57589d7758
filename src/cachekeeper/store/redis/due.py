"""Work that waits for its next attempt, in Redis. The truth is here; a message is sent when due.

A message with a countdown would lie in a worker, unacknowledged, and be given out again and again
once that takes longer than the broker's visibility timeout.
"""

from __future__ import annotations

from typing import Final

from cachekeeper.core.due import Work
from cachekeeper.store.redis.connection import Arg, Connection, reachable

KEPT: Final = 10_000
BYTES_KEPT: Final = 64 * 1024 * 1024


class RedisDue:
    """A bounded number of pieces of work, of a bounded size."""

    def __init__(self, connection: Connection) -> None:
        self._c, layout = connection, connection.layout
        self._keys = [layout.due, layout.due_work, layout.due_claims]
        self._with_bytes = [*self._keys, layout.due_bytes]

    def put(self, work: Work, when: float) -> bool:
        """Keep work until it is due; the same id again replaces it. False: there is no room."""
        args: list[Arg] = [work.id, work.to_json(), when, KEPT, BYTES_KEPT]
        return bool(self._c.run("due_put", self._with_bytes, args))

    def claim(
        self, now: float, token: str, deadline: float, at_most: int
    ) -> tuple[list[Work], dict[str, bytes]]:
        """Take what is due, the oldest first, under a token.

        It is due again at the deadline unless ``sent`` says that it was. Returns the work, and by
        id what can't be read as work.
        """
        works, unreadable = list[Work](), dict[str, bytes]()
        found = self._c.run("due_claim", self._keys, [now, token, deadline, at_most])
        for raw_id, raw in zip(found[::2], found[1::2], strict=True):
            try:
                works.append(Work.from_json(raw))
            except (ValueError, TypeError):
                unreadable[raw_id.decode()] = raw
        return works, unreadable

    def sent(self, token: str, work_id: str) -> bool:
        """Forget work that was sent, unless it failed again since; whether it was this token's."""
        return bool(self._c.run("due_sent", self._with_bytes, [token, work_id]))

    def waiting(self) -> int:
        """How much work waits, due or not."""
        with reachable():
            return int(self._c.redis.zcard(self._c.layout.due))
