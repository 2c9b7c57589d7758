"""What to fetch after an access: learn from it, predict, claim, ask for it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence

from cachekeeper.core.keys import check_device
from cachekeeper.core.ports.devices import Reports
from cachekeeper.core.ports.prediction import Prediction, Predictor
from cachekeeper.core.ports.prefetching import Prefetches
from cachekeeper.core.ports.tiers import Clock
from cachekeeper.core.prefetching import (
    OLD,
    SPARED,
    STALE_AFTER_S,
    Candidate,
    Ticket,
    check_paths,
    check_time,
)
from cachekeeper.services.relatives import Relatives

Ask = Callable[[Ticket, float, float], None]


class Planner:
    """Turns accesses of a device into fetches; ``ask`` is told what is to be fetched.

    It is given the ticket, the probability, and until when the fetch is of use.
    """

    def __init__(
        self,
        *,
        predictor: Predictor,
        relatives: Relatives,
        prefetches: Prefetches,
        reports: Reports,
        ask: Ask,
        origin_of: Callable[[str], str],
        threshold: float,
        at_once: int,
        now: Clock,
    ) -> None:
        self._predictor, self._relatives = predictor, relatives
        self._prefetches, self._reports = prefetches, reports
        self._ask, self._origin_of = ask, origin_of
        self._threshold, self._at_once, self._now = threshold, at_once, now

    def plan(
        self, device: str, paths: Sequence[str], at: float, until: float | None = None
    ) -> list[str]:
        """Learn that a device read files, in this order; the paths that are to be fetched.

        Nothing is fetched for an access that is older than ``STALE_AFTER_S``, nor after ``until``
        if that is given, nor for what was read before the last of the paths.

        Raises:
            InvalidInput: the device id, a path or a time is malformed; nothing was learnt.
        """
        check_device(device)
        *earlier, last = check_paths(paths, "paths")
        check_time(at, "at")
        until = at + STALE_AFTER_S if until is None else check_time(until, "until")
        for path in earlier:
            self._predictor.observe(device, path, at, threshold=self._threshold, limit=0)
        now = self._now()
        limit = self._at_once if now < until else 0
        found = self._predictor.observe(
            device,
            last,
            at,
            threshold=self._threshold,
            limit=limit,
            related=self._relatives.of(last) if limit else None,
        )
        if not limit:
            self._prefetches.dropped(device, OLD)
        return self._planned(device, found, until, until - now) if found else []

    def _planned(
        self, device: str, found: Sequence[Prediction], until: float, claim_s: float
    ) -> list[str]:
        state = self._reports.state(device)
        if state and state.spares:
            self._prefetches.dropped(device, SPARED)
            return []
        candidates = [
            Candidate(each.path, each.probability, uuid.uuid4().hex, self._origin_of(each.path))
            for each in found
        ]
        moment, verdicts = self._prefetches.plan(
            device,
            candidates,
            threshold=self._threshold,
            at_most=self._at_once,
            claim_s=min(claim_s, STALE_AFTER_S),
        )
        planned = []
        for each, why_not in zip(candidates, verdicts, strict=True):
            if not why_not:
                ticket = Ticket(device, each.path, each.token, each.origin, moment)
                self._ask(ticket, each.probability, until)
                planned.append(each.path)
        return planned
