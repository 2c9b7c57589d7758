"""The ledgers and manifests of devices: what each holds, counted to the byte."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from cachekeeper.core.device import DEMAND, Access, Held, Ledger
from cachekeeper.core.retention import (
    FULL_USAGE,
    HORIZON_S,
    WEIGHT_AGE,
    WEIGHT_PRIORITY,
    WEIGHT_USAGE,
    Priority,
    rank,
)
from cachekeeper.store.redis.connection import Arg, Connection, reachable

EVENTS_KEPT = 1000
HISTORY_S = 30 * 86400
FOLLOWERS_KEPT = 32
AT_MOST = 500  # victims a script


class RedisDevices:
    """Manifest, ledger, retention order, statistics and events of every device."""

    def __init__(self, connection: Connection) -> None:
        self._c = connection

    def ids(self) -> list[str]:
        """Every device that ever reserved a byte."""
        with reachable():
            return sorted(raw.decode() for raw in self._c.redis.smembers(self._c.layout.devices))

    def access(self, device: str, path: str, now: float) -> Access:
        """Look a path up and count the access."""
        return found_of(self._c.run("device_access", *self.access_call(device, path, now)))

    def access_call(self, device: str, path: str, now: float) -> tuple[list[str], list[Arg]]:
        """Keys and arguments of the script that counts an access."""
        layout = self._c.layout
        keys = [
            layout.manifest(device),
            layout.rank(device),
            layout.accesses(device),
            layout.device_stats(device),
            layout.marks,
            layout.events(device),
            layout.last_read(device),
            layout.clock,
        ]
        settled = WEIGHT_AGE * now / HORIZON_S
        args: list[Arg] = [path, now, repr(settled), WEIGHT_USAGE, FULL_USAGE, EVENTS_KEPT]
        return keys, [*args, HISTORY_S]

    def reserve(
        self, device: str, path: str, size: int, quota: int, token: str, deadline: float
    ) -> int | None:
        """Reserve bytes for a path.

        Returns 0 when reserved, else the bytes that are missing; None when the path is busy.
        """
        layout = self._c.layout
        keys = [layout.ledger(device), layout.reservations(device), layout.devices]
        found = self._c.run("device_reserve", keys, [path, size, quota, token, deadline, device])
        if found[0] == 1:
            return 0
        return None if found[0] == -1 else int(found[1])

    def commit(self, device: str, path: str, token: str, held: Held) -> bool:
        """Turn a reservation into an entry; False when the reservation is gone."""
        layout = self._c.layout
        keys = [
            layout.ledger(device),
            layout.reservations(device),
            layout.manifest(device),
            layout.rank(device),
            layout.accesses(device),
            layout.device_stats(device),
            layout.pins(device),
            layout.changes(device),
        ]
        accesses = int(held.by == DEMAND)  # what was predicted has not been read yet
        place = rank(last_access=held.filled, accesses=accesses, priority=Priority(held.priority))
        worth = WEIGHT_PRIORITY * Priority(held.priority).weight
        entry = json.dumps(asdict(held) | {"worth": worth})
        args: list[Arg] = [path, token, entry, repr(place), held.size, held.by]
        return bool(self._c.run("device_commit", keys, args))

    def release(self, device: str, path: str, token: str) -> bool:
        """Give a reservation back."""
        layout = self._c.layout
        keys = [layout.ledger(device), layout.reservations(device)]
        return bool(self._c.run("device_release", keys, [path, token]))

    def evict(
        self, device: str, wanted: int, token: str, deadline: float, below: float | None
    ) -> list[str]:
        """Name entries of lowest rank until ``wanted`` bytes are; delete, then release each."""
        limit = "+inf" if below is None else repr(below)
        args: list[Arg] = [wanted, token, deadline, limit, AT_MOST, EVENTS_KEPT, HISTORY_S]
        found = self._c.run("device_evict", self._removal_keys(device), args)
        return [raw.decode() for raw in found]

    def remove_expired(
        self, device: str, path: str, token: str, deadline: float, now: float
    ) -> bool:
        """Take one expired entry out; delete its file, then release it."""
        args: list[Arg] = [path, token, deadline, now, EVENTS_KEPT, HISTORY_S]
        return bool(self._c.run("device_remove", self._removal_keys(device), args))

    def manifest(self, device: str) -> dict[str, Held]:
        """Every entry of a device by path."""
        with reachable():
            found = self._c.redis.hgetall(self._c.layout.manifest(device))
        return {path.decode(): _held(raw) for path, raw in found.items()}

    def entry(self, device: str, path: str) -> Held | None:
        """One entry, None when the device does not hold the path."""
        with reachable():
            raw = self._c.redis.hget(self._c.layout.manifest(device), path)
        return None if raw is None else _held(raw)

    def overdue(self, device: str, now: float) -> list[tuple[str, str]]:
        """(path, token) of reservations whose holder must be dead."""
        with reachable():
            found = self._c.redis.hgetall(self._c.layout.reservations(device))
        split = ((path.decode(), raw.decode().split(" ")) for path, raw in found.items())
        return [(path, parts[0]) for path, parts in split if float(parts[2]) < now]

    def ledger(self, device: str) -> Ledger:
        """Bytes used and reserved, and the counters."""
        with reachable(), self._c.redis.pipeline() as pipe:
            pipe.hgetall(self._c.layout.ledger(device))
            pipe.hgetall(self._c.layout.device_stats(device))
            pipe.hlen(self._c.layout.manifest(device))
            bytes_, stats, items = pipe.execute()
        counted = {name.decode(): int(value) for name, value in stats.items()}
        used, reserved = int(bytes_.get(b"used", 0)), int(bytes_.get(b"reserved", 0))
        return Ledger(used, reserved, int(items), counted, int(bytes_.get(b"pinned", 0)))

    def events(self, device: str, limit: int) -> list[str]:
        """The last events, newest first: ``time state path``.

        The state is what an access found (``hit``, ``missing``, ``expired``, ``stale``), or
        ``evicted:N`` when the file went to make room for N bytes.
        """
        with reachable():
            found = self._c.redis.lrange(self._c.layout.events(device), 0, limit - 1)
        return [raw.decode() for raw in found]

    def saw_follow(self, before: str, path: str) -> None:
        """Learn that ``path`` was read after ``before``; only the likeliest are kept."""
        name = self._c.layout.followers(before)
        with reachable(), self._c.redis.pipeline() as pipe:
            pipe.zincrby(name, 1, path)
            pipe.zremrangebyrank(name, 0, -FOLLOWERS_KEPT - 1)
            pipe.expire(name, HISTORY_S)
            pipe.execute()

    def followers(self, path: str) -> dict[str, float]:
        """What was read after a path, and how often."""
        with reachable():
            found = self._c.redis.zrange(self._c.layout.followers(path), 0, -1, withscores=True)
        return {raw.decode(): float(count) for raw, count in found}

    def decay(self, factor: float, least: float) -> int:
        """Age what was learnt; returns how many paths it was learnt for."""
        aged = 0
        with reachable():
            for name in self._c.redis.scan_iter(match=self._c.layout.followers("*"), count=500):
                with self._c.redis.pipeline() as pipe:
                    pipe.zunionstore(name, {name: factor})
                    pipe.zremrangebyscore(name, "-inf", f"({least}")
                    pipe.expire(name, HISTORY_S)
                    pipe.execute()
                aged += 1
        return aged

    def _removal_keys(self, device: str) -> list[str]:
        layout = self._c.layout
        return [
            layout.ledger(device),
            layout.reservations(device),
            layout.manifest(device),
            layout.rank(device),
            layout.accesses(device),
            layout.device_stats(device),
            layout.events(device),
            layout.pins(device),
            layout.changes(device),
        ]


def found_of(reply: list[Any]) -> Access:
    """What the script that counts an access says."""
    return Access(_held(reply[2]) if reply[0] else None, reply[1].decode())


def _held(raw: bytes) -> Held:
    data: dict[str, Any] = json.loads(raw)
    data.pop("worth")
    return Held(**data | {"sources": tuple(data["sources"])})
