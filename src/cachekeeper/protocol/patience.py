"""How long the server waits for the other side.

Uvicorn waits for ever for a request to be whole, and for an answer to be taken. Here a connection
is looked at every two seconds. One that has not brought a whole head of a request, or has not
taken a byte of its answer, for too long is cut. Bodies have a limit of their own.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

LOOK_S: Final = 2.0
#: Seconds for a head to be whole, and between two requests.
HEAD_S: Final = 10.0
#: Seconds in which an answer has to move on.
STALLED_S: Final = 30.0


class PatientProtocol(H11Protocol):
    """HTTP/1.1 with an end to waiting."""

    _watch: asyncio.TimerHandle
    _seen: tuple[Any, ...] = ()
    _since = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to watch."""
        super().connection_made(transport)
        self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        """Watch no more."""
        self._watch.cancel()
        super().connection_lost(exc)

    def _look(self) -> None:
        now = self.loop.time()
        awaits_head = self.conn.their_state is h11.IDLE
        unsent = self.transport.get_write_buffer_size()
        # The cycle is another one after each request.
        seen = awaits_head, unsent, self.cycle
        if seen != self._seen or not (awaits_head or unsent):
            self._seen, self._since = seen, now
        elif now - self._since > (STALLED_S if unsent else HEAD_S):
            self.transport.abort()
            return
        self._watch = self.loop.call_later(LOOK_S, self._look)
