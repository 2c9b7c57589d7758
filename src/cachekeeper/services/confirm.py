"""Making sure that no node serves anything older than a mark: what a strict invalidation promises.

A node serves from memory only within a lease, which is granted together with its acknowledgement
of the log. So once every registered node has acknowledged a mark, none serves anything older. One
that stays silent is fenced, which means that it is granted no lease any more; when a lease as long
as its own (and the drift of clocks) has passed since then, on our own clock, it serves nothing, cut
off or not.

A new incarnation may have forgotten nodes that hold a lease of the one before. So until a lease
has passed since this process first saw it, that much is waited for, whoever has acknowledged.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from cachekeeper.core.ports.tiers import Marks, Nodes
from cachekeeper.core.stamps import Moment

#: A node that leaves rings nobody: look again after this.
LOOK_S = 0.02
#: A server with nothing else to do ends a wait up to 0.1 s late, so the end is waited for in steps.
LATE_S = 0.12
STEP_S = 0.005


@dataclass(frozen=True, slots=True)
class Confirmation:
    """Who was asked, who had to be fenced, and whether the promise holds for memory."""

    asked: list[str]
    fenced: list[str]
    holds: bool


class Confirmer:
    """Waits for the nodes. ``known_for`` tells for how long an incarnation has been known."""

    def __init__(
        self,
        *,
        marks: Marks,
        nodes: Nodes,
        known_for: Callable[[int], float],
        ack_timeout_s: float,
    ) -> None:
        self._marks, self._nodes, self._known_for = marks, nodes, known_for
        self._ack_timeout_s = ack_timeout_s
        self._last, self._longest_s = 0, 0.0  # the incarnation seen last, the longest lease ever

    def confirm(self, moment: Moment) -> Confirmation:
        """Wait until no node serves anything older than ``moment``, as long as it takes.

        At the most: the timeout of acknowledgements, a lease, and the drift.
        """
        incarnation, asked, silent = self._await(moment.epoch)
        fenced = self._nodes.fence(moment.epoch) if silent else []
        if fenced:
            time.sleep(self._nodes.outwait_s(fenced))  # time itself is the proof
            self._nodes.leave(fenced)
        grace = self._grace_s(moment.incarnation)
        if not fenced and grace > 0:
            time.sleep(grace)  # the same, for nodes that nobody knows
        if silent or grace > 0:
            incarnation = self._marks.now().incarnation
        # A server that came back meanwhile may have lost the mark: the promise is off.
        return Confirmation(asked, fenced, incarnation == moment.incarnation)

    def look(self, moment: Moment) -> Confirmation:
        """What is known without waiting."""
        _, acks = self._nodes.acknowledged()
        clean = all(epoch >= moment.epoch for epoch in acks.values())
        return Confirmation(sorted(acks), [], clean)

    def _grace_s(self, incarnation: int) -> float:
        """How long a lease that was granted before an incarnation may last yet."""
        if incarnation != self._last:
            self._last = incarnation
            self._longest_s = max(self._longest_s, self._nodes.outwait_s())
        return self._longest_s - self._known_for(incarnation)

    def _await(self, epoch: int) -> tuple[int, list[str], bool]:
        """Wait for acknowledgements, not longer than the timeout.

        Returns the incarnation, who was asked, and whether somebody is silent.
        """
        end = time.monotonic() + self._ack_timeout_s
        while True:
            left = end - time.monotonic()
            if left > LATE_S:
                incarnation, acks = self._nodes.wait(epoch, min(left - LATE_S, LOOK_S))
            else:
                time.sleep(max(0.0, min(left, STEP_S)))  # the server would wake us too late
                incarnation, acks = self._nodes.acknowledged()
            silent = any(ack < epoch for ack in acks.values())
            if not silent or left <= 0:
                return incarnation, sorted(acks), silent
