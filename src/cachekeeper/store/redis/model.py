"""The model of the predictor as a whole: looked at, exported, replaced, forgotten."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from cachekeeper.core.predict.exported import Learnt
from cachekeeper.core.predict.rates import Rate
from cachekeeper.store.redis.connection import Connection, reachable
from cachekeeper.store.redis.predicted import (
    calibration_in,
    digest_of,
    item_in,
    packed_item,
    packed_rate,
    rate_in,
)

AT_ONCE = 500
INCOMING_S = 3600  # then what was left of an import that was cut off is gone


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept: files, bytes of the model, devices with a history."""

    files: int
    bytes: int
    devices: int


class RedisModel:
    """What ``RedisPredictor`` has learnt."""

    def __init__(self, connection: Connection) -> None:
        self._c = connection

    def kept(self) -> Kept:
        """How much there is."""
        layout = self._c.layout
        with reachable(), self._c.redis.pipeline() as pipe:
            pipe.hlen(layout.model_items)
            for key in self._keys():
                pipe.memory_usage(key, samples=100)
            files, *sizes = pipe.execute()
        return Kept(int(files), sum(int(size or 0) for size in sizes), len(self._histories()))

    def learnt(self) -> Learnt:
        """All of it. What changes meanwhile is told as of before or after."""
        layout, found = self._c.layout, Learnt()
        with reachable():
            digests = self._c.redis.lrange(layout.model_queue, 0, -1)
            for some in _parts(iter(digests)):
                raws = self._c.redis.hmget(layout.model_items, some)
                found.files |= dict(item_in(raw) for raw in raws if raw is not None)
            with self._c.redis.pipeline() as pipe:
                pipe.hgetall(layout.model_classes)
                pipe.hgetall(layout.model_outcomes)
                pipe.get(layout.model_calibration)
                classes, outcomes, bins = pipe.execute()
        paths = {digest_of(path): path for path in found.files}
        for item in found.files.values():  # of what has been forgotten nothing is known
            known = {paths[each]: n for each, n in item.followers.items() if each in paths}
            item.followers = known
        found.classes = {name.decode(): rate_in(raw) for name, raw in classes.items()}
        found.outcomes = {name.decode(): rate_in(raw) for name, raw in outcomes.items()}
        found.calibration = calibration_in(bins)
        return found

    def replace(self, learnt: Learnt) -> None:
        """Put another model in the place of what there is, in one step."""
        layout, token = self._c.layout, uuid.uuid4().hex
        made = set[str]()

        def fill(key: str, pairs: Iterator[tuple[Any, Any]]) -> None:
            incoming = layout.incoming(token, key)
            for some in _parts(pairs):
                with self._c.redis.pipeline() as pipe:
                    if key == layout.model_queue:
                        pipe.rpush(incoming, *(digest for digest, _ in some))
                    else:
                        pipe.hset(incoming, mapping=dict(some))
                    pipe.expire(incoming, INCOMING_S)
                    pipe.execute()
                made.add(key)

        items = {bytes.fromhex(digest_of(path)): path for path in learnt.files}
        bins = b"".join(packed_rate(each.hits, each.trials) for each in learnt.calibration.bins)
        with reachable():
            fill(
                layout.model_items,
                ((digest, packed_item(path, learnt.files[path])) for digest, path in items.items()),
            )
            fill(layout.model_queue, iter(items.items()))
            fill(layout.model_classes, _rates(learnt.classes))
            fill(layout.model_outcomes, _rates(learnt.outcomes))
            with self._c.redis.pipeline() as pipe:
                pipe.unlink(*self._keys())
                for key in made:
                    pipe.rename(layout.incoming(token, key), key)
                    pipe.persist(key)
                pipe.set(layout.model_calibration, bins)
                pipe.execute()

    def reset(self) -> int:
        """Forget everything, and what devices have just read; returns of how many files."""
        with reachable(), self._c.redis.pipeline() as pipe:
            pipe.hlen(self._c.layout.model_items)
            pipe.unlink(*self._keys(), *self._histories())
            return int(pipe.execute()[0])

    def _keys(self) -> list[str]:
        layout = self._c.layout
        keys = [layout.model_items, layout.model_queue, layout.model_classes]
        return [*keys, layout.model_outcomes, layout.model_calibration]

    def _histories(self) -> list[str]:
        with reachable():
            found = self._c.redis.scan_iter(match=self._c.layout.history("*"), count=1000)
            return [raw.decode() for raw in found]


def _rates(rates: Mapping[str, Rate]) -> Iterator[tuple[str, bytes]]:
    return ((name, packed_rate(rate.hits, rate.trials)) for name, rate in rates.items())


def _parts(things: Iterator[Any]) -> Iterator[list[Any]]:
    while some := list(islice(things, AT_ONCE)):
        yield some
