"""The ledgers and manifests of devices: what each holds, counted to the byte."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from itertools import chain, islice
from typing import Any

from cachekeeper.core.device import (
    Access,
    Held,
    Leaving,
    Ledger,
    Limits,
    Named,
    Place,
    Room,
    Wish,
)
from cachekeeper.errors import Overtaken
from cachekeeper.store.redis.connection import Arg, Connection, reachable
from cachekeeper.store.redis.layout import Layout

#: The policies that are scripts as well (lua/parts/policy.lua).
FORMS = ("gdga", "retention", "lru")
EVENTS_KEPT = 1000
HISTORY_S = 30 * 86400


class RedisDevices:
    """Manifest, ledger, order of eviction, statistics and events of every device."""

    def __init__(self, connection: Connection) -> None:
        self._c = connection

    def ids(self) -> list[str]:
        """Every device that ever asked for room."""
        with reachable():
            return sorted(raw.decode() for raw in self._c.redis.smembers(self._c.layout.devices))

    def access(self, device: str, path: str, now: float, policy: str) -> Access:
        """Look a path up and count the access."""
        call = self.access_call(device, path, now, policy)
        return accessed(self._c.run("device_access", *call))

    def access_call(
        self, device: str, path: str, now: float, policy: str
    ) -> tuple[list[str], list[Arg]]:
        """Keys and arguments of the script that counts an access."""
        layout = self._c.layout
        more = [layout.marks, layout.clock]
        return [*device_keys(layout, device, policy), *more], [path, now, policy]

    def lost(self, device: str) -> None:
        """What was counted as a hit was none: its file is not on this host."""
        with reachable(), self._c.redis.pipeline() as pipe:
            pipe.hincrby(self._c.layout.device_stats(device), "hits", -1)
            pipe.hincrby(self._c.layout.device_stats(device), "misses", 1)
            pipe.execute()

    def note(self, device: str, counter: str, state: str, path: str, now: float) -> None:
        """Count something, and keep it among the events."""
        events = self._c.layout.events(device)
        with reachable(), self._c.redis.pipeline() as pipe:
            pipe.hincrby(self._c.layout.device_stats(device), counter, 1)
            pipe.lpush(events, f"{now} {state} {path}")
            pipe.ltrim(events, 0, EVENTS_KEPT - 1)
            pipe.expire(events, HISTORY_S)
            pipe.execute()

    def reserve(self, device: str, wish: Wish, limits: Limits, place: Place, release: str) -> Room:
        """Reserve bytes, after releasing what was deleted to make room.

        The place is that of the last answer to the same wish, an empty one at first.
        """
        args: list[Arg] = [wish.path, wish.size, limits.quota, limits.headroom, wish.token]
        args += [wish.now, wish.deadline, device, limits.policy, wish.by, repr(wish.weight)]
        args += [release, place.worth, place.state]
        more = [self._c.layout.devices]
        code, *rest = self._run("device_reserve", device, limits.policy, args, more)
        if code == -1:
            return Room(granted=False, place=place, refused="busy")
        if code != 1 and code != 0:
            return Room(granted=False, place=place, refused=rest[0].decode())
        answer = Place(rest[0].decode(), rest[1])
        if code == 1:
            return Room(granted=True, place=answer)
        leaving, copies = _texts(rest[2:])
        return Room(granted=False, place=answer, leaving=leaving, copies=_split(copies, " "))

    def renew(self, device: str, path: str, token: str, deadline: float) -> bool:
        """Keep a reservation; False when it is gone."""
        return bool(self._run("device_renew", device, "", [path, token, deadline]))

    def commit(
        self,
        device: str,
        path: str,
        token: str,
        held: Held,
        place: Place,
        limits: Limits,
        deadline: float,
    ) -> str | None:
        """Turn a reservation into an entry; None when the reservation is gone.

        Returns the copy that it replaces, '' for none: it leaves under the same token, and is to
        be deleted and released by the deadline. Raises Overtaken: nobody asked for it, and it was
        invalidated meanwhile.
        """
        args: list[Arg] = [path, token, _packed(held), place.worth, place.state, held.expires]
        args += [held.by, deadline]
        more = [self._c.layout.clock, self._c.layout.marks]
        found = self._run("device_commit", device, limits.policy, args, more)
        if found == [-1]:
            raise Overtaken(f"{path}: it was invalidated while it was fetched")
        return found[0].decode() if found else None

    def abandon(self, device: str, path: str, token: str, deadline: float) -> bool:
        """End a reservation; delete its file, then release the token."""
        return bool(self._run("device_abandon", device, "", [path, token, deadline]))

    def evict(
        self,
        device: str,
        wanted: int,
        token: str,
        deadline: float,
        limits: Limits,
        release: str = "",
    ) -> Leaving:
        """Take entries that are worth least out until ``wanted`` bytes are, 500 at most.

        Releases another token first, if one is given.
        """
        args: list[Arg] = [wanted, token, deadline, limits.policy, limits.quota, release]
        bytes_, *told = self._run("device_evict", device, limits.policy, args)
        paths, copies = _texts(told)
        return Leaving(token, int(bytes_), _split(paths, "\n"), _split(copies, " "))

    def expire(
        self, device: str, token: str, deadline: float, now: float, policy: str
    ) -> tuple[bool, Leaving]:
        """Take entries out whose lifetime has passed, 500 at most; whether there may be more."""
        more, paths, copies = self._run("device_expire", device, policy, [now, token, deadline])
        return bool(more), Leaving(token, 0, _texts(paths), _texts(copies))

    def remove(
        self, device: str, path: str, copy: str, token: str, deadline: float, policy: str
    ) -> bool:
        """Take one copy out; delete its file, then release the token."""
        args: list[Arg] = [path, copy, token, deadline, "removed"]
        return bool(self._run("device_remove", device, policy, args))

    def release(self, device: str, token: str) -> bool:
        """What was leaving is gone from the disk."""
        return bool(self._run("device_release", device, "", [token]))

    def adopt(self, device: str, policy: str, now: float) -> int:
        """Rank by a policy what was ranked by another; returns how many entries."""
        moved = 0
        for other in FORMS:
            old = self._c.layout.rank(device, other)
            while other != policy and (
                some := self._run("device_adopt", device, policy, [policy, now], [old])
            ):
                moved += int(some)
        return moved

    def manifest(self, device: str) -> dict[str, Held]:
        """Every entry of a device by path."""
        with reachable():
            found = self._c.redis.hgetall(self._c.layout.manifest(device))
        return {path.decode(): unpacked(raw) for path, raw in found.items()}

    def entry(self, device: str, path: str) -> Held | None:
        """One entry, None when the device does not hold the path."""
        with reachable():
            raw = self._c.redis.hget(self._c.layout.manifest(device), path)
        return None if raw is None else unpacked(raw)

    def named(self, device: str) -> Named:
        """All copies that should be on the disk, at one moment."""
        layout = self._c.layout
        with reachable(), self._c.redis.pipeline() as pipe:
            pipe.hgetall(layout.manifest(device))
            pipe.hvals(layout.reservations(device))
            pipe.hvals(layout.leaving(device))
            manifest, coming, leaving = pipe.execute()
        entries = {path.decode(): raw.split(b" ", 2)[1].decode() for path, raw in manifest.items()}
        moving = [raw.split(b" ", 1)[0] for raw in coming]
        moving += [copy for raw in leaving for copy in raw.split(b" ")[2:]]
        return Named(entries, frozenset(_texts(moving)))

    def overdue(self, device: str, now: float) -> tuple[list[tuple[str, str]], list[Leaving]]:
        """Of holders that must be dead: (path, token) of reservations, and what was leaving."""
        layout = self._c.layout
        with reachable(), self._c.redis.pipeline() as pipe:
            pipe.hgetall(layout.reservations(device))
            pipe.hgetall(layout.leaving(device))
            coming, going = pipe.execute()
        split = ((path.decode(), raw.decode().split(" ")) for path, raw in coming.items())
        reserved = [(path, parts[0]) for path, parts in split if float(parts[2]) < now]
        fields = ((token.decode(), raw.decode().split(" ")) for token, raw in going.items())
        leaving = [
            Leaving(token, int(parts[1]), (), tuple(parts[2:]))
            for token, parts in fields
            if float(parts[0]) < now
        ]
        return reserved, leaving

    def ledger(self, device: str) -> Ledger:
        """Bytes used and reserved, the quota as last enforced, and the counters."""
        with reachable(), self._c.redis.pipeline() as pipe:
            pipe.hgetall(self._c.layout.ledger(device))
            pipe.hgetall(self._c.layout.device_stats(device))
            pipe.hlen(self._c.layout.manifest(device))
            bytes_, stats, items = pipe.execute()
        counted = {name.decode(): int(value) for name, value in stats.items()}
        used, reserved = int(bytes_.get(b"used", 0)), int(bytes_.get(b"reserved", 0))
        quota, pinned = bytes_.get(b"quota"), int(bytes_.get(b"pinned", 0))
        enforced = None if quota is None else int(quota)
        return Ledger(used, reserved, int(items), counted, enforced, pinned)

    def pinned_beside(self, device: str, path: str) -> int:
        """Bytes of all pins but that of a path."""
        with reachable(), self._c.redis.pipeline() as pipe:
            pipe.hget(self._c.layout.ledger(device), "pinned")
            pipe.hget(self._c.layout.pins(device), path)
            everything, own = pipe.execute()
        return int(everything or 0) - int(own or 0)

    def events(self, device: str, limit: int) -> list[str]:
        """The last events, newest first: ``time state path``.

        The state is what an access found (``hit``, ``missing``, ``expired``, ``stale``), or what
        became of a file: ``refused``, ``expired``, ``removed``, ``served_stale``, or ``evicted:N``
        when it went to make room for N bytes.
        """
        with reachable():
            found = self._c.redis.lrange(self._c.layout.events(device), 0, limit - 1)
        return list(islice(chain.from_iterable(map(_each, found)), limit))

    def _run(
        self, script: str, device: str, policy: str, args: list[Arg], more: Iterable[str] = ()
    ) -> Any:
        """Run a script with the keys of parts/device.lua and those that it takes besides."""
        keys = device_keys(self._c.layout, device, policy)
        return self._c.run(script, [*keys, *more], args)


def device_keys(layout: Layout, device: str, policy: str) -> list[str]:
    """The keys of parts/device.lua."""
    return [
        layout.ledger(device),
        layout.reservations(device),
        layout.leaving(device),
        layout.manifest(device),
        layout.rank(device, policy),
        layout.device_state(device),
        layout.device_expires(device),
        layout.device_stats(device),
        layout.events(device),
        layout.policy_figures(device),
        layout.ghosts(device),
        layout.pins(device),
        layout.changes(device),
    ]


def accessed(reply: list[Any]) -> Access:
    """What the script that counts an access says."""
    state, entry = reply
    return Access(state.decode(), unpacked(entry) if entry else None)


def _packed(held: Held) -> str:
    """An entry of the manifest: what scripts need of it stands in front of the rest."""
    rest = asdict(held)
    for name in ("size", "copy", "expires"):
        del rest[name]
    return f"{held.size} {held.copy} {held.expires!r} {json.dumps(rest)}"


def unpacked(raw: bytes) -> Held:
    """An entry of the manifest from how it is stored."""
    size, copy, expires, rest = raw.decode().split(" ", 3)
    data: dict[str, Any] = json.loads(rest)
    front = {"size": int(size), "copy": copy, "expires": float(expires)}
    return Held(**data | front | {"sources": tuple(data["sources"])})


def _texts(raws: Iterable[bytes]) -> tuple[str, ...]:
    return tuple(raw.decode() for raw in raws)


def _split(joined: str, by: str) -> tuple[str, ...]:
    return tuple(joined.split(by)) if joined else ()


def _each(raw: bytes) -> list[str]:
    """The events of one line: of several paths, the last one first."""
    first, *others = raw.decode().split("\n")
    time, state, _ = first.split(" ", 2)
    return [*(f"{time} {state} {path}" for path in reversed(others)), first]
