"""Upkeep: work whose worker died, nodes that are gone, records that are old."""

from __future__ import annotations

import time

from cachekeeper.core.ports.pipeline import Pending, Receipts
from cachekeeper.core.ports.tiers import Clock, Nodes, TrimmableMarks
from cachekeeper.core.receipt import failed_receipt

LEASES_UNTIL_GONE = 30
GROUP_SLACK_S = 60.0
GIVEN_UP = "claimed too often: its workers died or did not finish in time"


class Recovery:
    """What beat calls so that nothing stalls and nothing grows for ever."""

    def __init__(
        self,
        *,
        pending: Pending,
        nodes: Nodes,
        receipts: Receipts,
        marks: TrimmableMarks,
        record_s: float,
        longest_life_s: float,
        now: Clock,
    ) -> None:
        self._pending, self._nodes, self._receipts, self._marks = pending, nodes, receipts, marks
        self._record_s, self._longest_life_s = record_s, longest_life_s
        self._now = now

    def requeue(self) -> dict[str, int]:
        """Requeue batches whose deadline has passed; bury what was claimed too often."""
        requeued, given_up = self._pending.requeue_overdue(self._now(), GIVEN_UP)
        now = self._now()
        self._receipts.save([failed_receipt(request, GIVEN_UP, now) for request in given_up])
        return {"requeued": requeued, "buried": len(given_up)}

    def clean(self) -> dict[str, int]:
        """Forget requests that belong to no set, and nodes that have been silent for leases."""
        silent = self._nodes.fence_silent(LEASES_UNTIL_GONE * self._nodes.outwait_s())
        if silent:  # one of them may live, and serve until the lease that it holds is over
            time.sleep(self._nodes.outwait_s(silent))  # nobody can say that it is over sooner
            self._nodes.leave(silent)
        return {"requests_forgotten": self._pending.orphans(), "nodes_forgotten": len(silent)}

    def trim(self) -> dict[str, int]:
        """Trim records, and marks that no value still held can be older than."""
        now = self._now()
        records = self._receipts.trim(now - self._record_s)
        marks = self._marks.trim(now - self._longest_life_s)
        groups = self._marks.drop_groups(now - GROUP_SLACK_S)
        return {"records_trimmed": records, "marks_trimmed": marks, "groups_dropped": groups}
