"""What units of work prepared and nobody has sent: their process died, or the broker was away."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cachekeeper.core.ports.pipeline import Prepared

AT_ONCE = 100
AGAIN_S = 30.0  # by then they were sent and forgotten, or the sweep has died


class PreparedSweep:
    """Sends them; done twice at once, or killed, a request is sent twice and has one effect.

    ``send`` enqueues a request as it is on the wire.
    """

    def __init__(self, prepared: Prepared, send: Callable[[Mapping[str, Any]], object]) -> None:
        self._prepared, self._send = prepared, send

    def run(self) -> dict[str, int]:
        """Send all that is overdue; returns how many that were.

        Raises:
            BrokerUnavailable: the rest comes again.
        """
        fired = 0
        while wires := self._prepared.overdue(AT_ONCE, AGAIN_S):
            sent: list[str] = []
            try:
                for wire in wires:
                    self._send(wire)
                    sent.append(wire["id"])
            finally:
                self._prepared.forget(sent)
            fired += len(sent)
        return {"fired": fired}
