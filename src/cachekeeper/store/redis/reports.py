"""What devices report: their accesses, counted once, and their state."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

import redis

from cachekeeper.core.device import Access, DeviceState
from cachekeeper.store.redis.connection import Connection, reachable, script
from cachekeeper.store.redis.devices import HISTORY_S, RedisDevices, accessed

REPORTS_KEPT = 1000  # ids of a device that are known again
STATE_S = 86400  # then a device that said no more is taken for one at home


class RedisReports:
    """Reports of every device."""

    def __init__(self, connection: Connection, devices: RedisDevices) -> None:
        self._c, self._devices = connection, devices

    def record(
        self,
        device: str,
        report: str,
        paths: Sequence[str],
        said: DeviceState | None,
        now: float,
        policy: str,
    ) -> list[Access] | None:
        """Count accesses, and note the state, once for a report's id; None when it was before.

        It is one transaction: a report that is cut off is counted as a whole or not at all.
        """
        layout, access = self._c.layout, script("device_access")
        known = layout.reports(device)
        with reachable(), self._c.redis.pipeline() as pipe:
            while True:
                try:
                    pipe.watch(known)
                    if pipe.zscore(known, report) is not None:
                        return None
                    pipe.multi()
                    pipe.zadd(known, {report: now})
                    pipe.zremrangebyrank(known, 0, -REPORTS_KEPT - 1)
                    pipe.expire(known, HISTORY_S)
                    if said is not None:
                        pipe.set(layout.said(device), json.dumps(asdict(said)), ex=STATE_S)
                    for number, path in enumerate(paths):
                        keys, args = self._devices.access_call(device, path, now, policy)
                        # Once with its source: from then on the server knows it.
                        run, what = (
                            (pipe.evalsha, access.digest) if number else (pipe.eval, access.source)
                        )
                        run(what, len(keys), *keys, *args)
                    done = pipe.execute()
                except redis.WatchError:  # the same device reports twice at once
                    continue
                return [accessed(reply) for reply in done[len(done) - len(paths) :]]

    def state(self, device: str) -> DeviceState | None:
        """What a device last said of itself, within a day."""
        with reachable():
            raw = self._c.redis.get(self._c.layout.said(device))
        return None if raw is None else DeviceState(**json.loads(raw))
