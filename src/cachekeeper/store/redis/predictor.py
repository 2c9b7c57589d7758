"""The predictor in Redis: ``core.predict.Model`` for all workers, one script an access."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain, islice

from cachekeeper.core.ports.prediction import Prediction, Reason
from cachekeeper.core.predict.calibration import bin_of
from cachekeeper.core.predict.factors import (
    class_name,
    factors_of,
    outcome_name,
    rest_name,
    slot_of,
)
from cachekeeper.core.predict.items import Item, day_of
from cachekeeper.core.predict.model import likeliest
from cachekeeper.core.predict.rates import Rate
from cachekeeper.core.predict.visits import RELATED, Visit
from cachekeeper.core.relations import (
    Relation,
    extension,
    predecessors,
    relation,
    streak_of,
    successor,
)
from cachekeeper.store.redis.connection import Arg, Connection, reachable
from cachekeeper.store.redis.predicted import (
    calibration_in,
    digest_of,
    item_in,
    rate_in,
    visits_in,
)

HISTORY_S = 86400  # at least: what a device read last is shown by `why-prefetched`
AT_ONCE = 500  # files looked at in one call: some milliseconds


class RedisPredictor:
    """Learns from accesses what follows what, in one round trip an access.

    What is read within a device's next 16 requests and ``horizon_s`` seconds was read soon. At
    most ``items`` files are known at a time: beyond, one goes that was not read for long.
    """

    def __init__(self, connection: Connection, horizon_s: float, items: int) -> None:
        self._c, self._horizon_s, self._items = connection, horizon_s, items

    def observe(
        self,
        device: str,
        path: str,
        at: float,
        *,
        threshold: float,
        limit: int,
        related: Mapping[str, Relation] | None = None,
    ) -> list[Prediction]:
        """Learn that a device read a file; what it is likely to read soon."""
        layout, before = self._c.layout, predecessors(path)
        keys = [layout.model_items, layout.model_queue, layout.model_classes]
        keys += [layout.model_outcomes, layout.model_calibration, layout.history(device)]
        lifetime = int(max(HISTORY_S, self._horizon_s)) + 1
        args: list[Arg] = [path, at, self._horizon_s, self._items, lifetime, threshold]
        args += [successor(path), len(before), *before]
        args += chain.from_iterable(islice((related or {}).items(), RELATED))
        told = [_prediction(row) for row in self._c.run("predict_observe", keys, args)]
        return sorted(told, key=likeliest)[:limit]

    def explain(self, device: str, path: str) -> list[Reason]:
        """For the files that a device read last, newest first: what each says of a path."""
        layout = self._c.layout
        with reachable():
            visits = visits_in(self._c.redis.get(layout.history(device)) or b"")
            if not visits:
                return []
            digests = [visit.path for visit in visits]
            with self._c.redis.pipeline() as pipe:
                pipe.hmget(layout.model_items, [bytes.fromhex(each) for each in digests])
                pipe.get(layout.model_calibration)
                raws, bins = pipe.execute()
        curve, own, found = calibration_in(bins).curve(), digest_of(path), list[Reason]()
        for number, (visit, raw) in enumerate(zip(visits, raws, strict=True)):
            if raw is not None and visit.path != own:
                read_before = frozenset(digests[:number])
                found.append(self._reason(visit, *item_in(raw), read_before, path, curve))
        return found[::-1]

    def forget(self, before: float) -> int:
        """Forget files that were last read before a time (to the day); returns how many."""
        layout = self._c.layout
        keys = [layout.model_items, layout.model_queue]
        with reachable():
            left = int(self._c.redis.llen(layout.model_queue))
        gone = 0
        while left > 0:
            gone += int(self._c.run("predict_forget", keys, [day_of(before), min(left, AT_ONCE)]))
            left -= AT_ONCE
        return gone

    def _reason(
        self,
        visit: Visit,
        after: str,
        item: Item,
        read_before: frozenset[str],
        path: str,
        curve: list[float],
    ) -> Reason:
        before = {each for each in predecessors(after) if digest_of(each) in read_before}
        guess = visit.guesses.get(digest_of(path))  # the caller may have said how it is related
        kind = (
            guess.relation
            if guess
            else relation(after, path, successor(after), streak_of(after, before))
        )
        counts, slot = item.followers.get(digest_of(path), [0, 0, 0, 0]), slot_of(visit.at)
        layout, name = self._c.layout, class_name(kind, visit.extension, extension(path))
        with reachable():
            known = self._c.redis.hmget(layout.model_classes, [name, rest_name(kind)])
            of_class = rate_in(known[0] or known[1])

            def outcome(pattern: float) -> Rate:
                field = outcome_name(kind, pattern, sum(item.reads))
                return rate_in(self._c.redis.hget(layout.model_outcomes, field))

            factors = factors_of(counts, item.reads, slot, of_class, outcome)
        probability = curve[bin_of(factors.weighted)]
        told = Prediction(path, probability, *factors, kind.told)
        return Reason(after, visit.at, told, sum(item.reads), sum(counts))


def _prediction(row: list[bytes]) -> Prediction:
    path, *numbers, kind = row
    probability, pattern, time, relationship = map(float, numbers)
    told = Relation(kind.decode()).told
    return Prediction(path.decode(), probability, pattern, time, relationship, told)
