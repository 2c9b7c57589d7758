"""How long the server waits for the other side.

Uvicorn waits for ever for a request to be whole, and for an answer to be taken. Here a connection
is looked at every two seconds. One that has not brought a whole head of a request, or has not
taken a byte of its answer, for too long is cut, and so is one that goes on with a body after it
was answered. Bodies that are wanted have a limit of their own.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

#: Seconds for a head to be whole, and between two requests.
HEAD_S: Final = 10.0


class PatientProtocol(H11Protocol):
    """HTTP/1.1 with an end to waiting.

    Attributes:
        head_s: for a head to be whole, and between two requests.
        stalled_s: in which an answer has to move on.
        look_s: between two looks.
    """

    head_s = HEAD_S
    stalled_s = 30.0
    look_s = 2.0

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
        now, patience = self.loop.time(), self._patience()
        # The cycle is another one after each request.
        seen = patience, self.transport.get_write_buffer_size(), self.cycle
        if seen != self._seen or patience is None:
            self._seen, self._since = seen, now
        elif now - self._since >= patience:
            self.transport.abort()
            return
        self._watch = self.loop.call_later(self.look_s, self._look)

    def _patience(self) -> float | None:
        """For how long things may be as they are; None while the work is ours."""
        if self.transport.get_write_buffer_size():
            return self.stalled_s
        if self.conn.their_state is h11.IDLE:
            return self.head_s
        return self.look_s if self.cycle.response_complete else None
