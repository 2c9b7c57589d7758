"""The cache of a device: hit, or read-through from the tiers, never above its quota.

The order is what keeps the cap hard: bytes are reserved before anything is written; what leaves
stays counted until its file is gone; a new copy stands beside the old one until it is verified
and the manifest names it.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable
from contextlib import suppress
from typing import BinaryIO

from cachekeeper.core.device import DEMAND, HIT, Content, Held, Limits, Offer, Place, Wish
from cachekeeper.core.keys import check_device, check_path, file_key
from cachekeeper.core.ports.devices import Devices, Files, Source
from cachekeeper.core.ports.tiers import Clock
from cachekeeper.core.retention import Priority
from cachekeeper.core.stamps import own_sources
from cachekeeper.errors import (
    Busy,
    CacheUnavailable,
    DiskFull,
    OriginMissing,
    OriginUnavailable,
    QuotaExceeded,
)
from cachekeeper.services.read import Read

RESERVATION_S = 20.0  # from its last renewal; what a killed process reserved is missing so long
RENEW_S = RESERVATION_S / 4
ROUNDS = 1000  # of making room for one file, some hundreds of others at a time

_REFUSALS = {
    "oversize": "it is larger than the quota of {quota} bytes",
    "pinned": "it does not fit beside what is pinned, of a quota of {quota} bytes",
    "room": "there is no room that could be made just now",
    "worth": "it is worth less than what would have to go",
}


def _nothing() -> None:
    """To be called by whoever has nothing to do meanwhile."""


class DeviceCaches:
    """All devices of a host; ``limits`` tells what each may hold."""

    def __init__(
        self,
        *,
        devices: Devices,
        files: Files,
        source: Source,
        limits: Callable[[str], Limits],
        now: Clock,
    ) -> None:
        self._devices, self._files, self._source = devices, files, source
        self.limits, self._now = limits, now

    def get(self, device: str, path: str) -> Read:
        """Read a file as a device does.

        Raises:
            InvalidInput: the device id or the path is malformed.
            OriginMissing: the origin has no such file; a copy of it goes, too.
            OriginUnavailable: it is not held, not even stale, and can't be loaded.
        """
        policy = self.limits(check_device(device)).policy
        state, held = self._devices.access(device, check_path(path), self._now(), policy)
        if held is not None and state == HIT:
            file = self._files.open(device, held.copy)
            if file is not None:
                return Read(file, held.size, hit=True)
            self._devices.lost(device)
        try:
            return self._read_through(device, path, held)
        except OriginMissing:
            if held is not None:
                self._remove(device, path, held.copy)
            raise
        except OriginUnavailable:
            file = self._files.open(device, held.copy) if held else None
            if held is None or file is None:
                raise
            self._devices.note(device, "served_stale", "served_stale", path, self._now())
            return Read(file, held.size, stale=True)

    def fetch(
        self,
        device: str,
        path: str,
        priority: Priority,
        by: str,
        *,
        chance: float = 1.0,
        alive: Callable[[], None] = _nothing,
    ) -> int:
        """Have a device hold a file that it does not hold fresh; returns its bytes.

        ``chance`` is how likely it is to be read, which makes it worth less. ``alive`` is called
        with each piece that comes, and may raise to end it.

        Raises:
            Busy: the path is being stored or removed at this moment; Overtaken: nobody asked for
                it, and it was invalidated meanwhile.
            QuotaExceeded: it does not fit, or is worth less than what would have to go.
            DiskFull: the file system has no room for it.
            InvalidInput, OriginMissing, OriginUnavailable: it can't be loaded.
        """
        offer = self._source.offer(check_path(path))
        self._keep(check_device(device), path, offer, priority, by, chance, alive).close()
        return offer.size

    def evict(self, device: str, wanted: int) -> list[str]:
        """Remove the files that are worth least until ``wanted`` bytes are free; their paths."""
        gone: list[str] = []
        freed, before, limits = 0, "", self.limits(device)
        while freed < wanted:
            token, deadline = uuid.uuid4().hex, self._now() + RESERVATION_S
            leaving = self._devices.evict(device, wanted - freed, token, deadline, limits, before)
            before = ""
            if not leaving.paths:
                break
            self._files.delete(device, leaving.copies)
            gone.extend(leaving.paths)
            freed, before = freed + leaving.bytes, token
        if before:
            self._devices.release(device, before)
        return gone

    def expire(self, device: str) -> list[str]:
        """Remove the files of a device whose lifetime has passed; returns their paths."""
        gone: list[str] = []
        policy = self.limits(device).policy
        while True:
            token, now = uuid.uuid4().hex, self._now()
            more, leaving = self._devices.expire(device, token, now + RESERVATION_S, now, policy)
            if leaving.paths:
                self._let_go(device, token, leaving.copies)
            gone += leaving.paths
            if not more:
                return gone

    def forget(self, device: str, path: str, copy: str) -> bool:
        """Take an entry out whose file is gone; False when it is there, or is another one."""
        file = self._files.open(device, copy)
        if file is not None:
            file.close()
            return False
        return self._remove(device, path, copy)

    def settle(self, device: str) -> int:
        """End what holders left that must be dead; returns how many."""
        reserved, leaving = self._devices.overdue(device, self._now())
        ended = sum(self._abandon(device, path, token) for path, token in reserved)
        for each in leaving:
            self._files.delete(device, each.copies)
            ended += self._devices.release(device, each.token)
        return ended

    def _abandon(self, device: str, path: str, token: str) -> bool:
        """End a reservation whose holder failed; False when it had ended."""
        if not self._devices.abandon(device, path, token, self._now() + RESERVATION_S):
            return False
        self._let_go(device, token, [token])
        return True

    def _read_through(self, device: str, path: str, held: Held | None) -> Read:
        offer = self._source.offer(path)
        try:
            try:
                file = self._keep(device, path, offer, Priority.MEDIUM, DEMAND)
            except QuotaExceeded:
                room = self.limits(device).quota - self._devices.pinned_beside(device, path)
                if held is None or offer.size > room:
                    raise
                offer = self._make_way(device, path, held, offer)
                file = self._keep(device, path, offer, Priority.MEDIUM, DEMAND)
        except (Busy, QuotaExceeded, DiskFull) as error:
            file = self._source.open(path, offer)
            size = file.seek(0, os.SEEK_END)  # it may be another version than was offered
            file.seek(0)
            return Read(file, size, kept=False, refused=str(error))
        return Read(file, offer.size)

    def _make_way(self, device: str, path: str, held: Held, offer: Offer) -> Offer:
        """Take the old copy away where both don't fit, once the new content is at hand."""
        content = self._source.fetch(path, offer, lambda: None)
        self._remove(device, path, held.copy)
        return offer._replace(content=content)

    def _keep(
        self,
        device: str,
        path: str,
        offer: Offer,
        priority: Priority,
        by: str,
        chance: float = 1.0,
        alive: Callable[[], None] = _nothing,
    ) -> BinaryIO:
        """Store a copy on a device, evicting what is worth less; the copy, opened."""
        token, now = uuid.uuid4().hex, self._now()
        limits = self.limits(device)
        weight = priority.weight * chance
        wish = Wish(path, offer.size, token, by, weight, now, now + RESERVATION_S)
        try:
            place = self._reserve(device, wish, limits)
            content = self._source.fetch(path, offer, self._renewing(device, path, token, alive))
            file = self._linked(device, path, token, content)
            try:
                self._commit(device, wish, priority, content, place, limits)
            except BaseException:
                file.close()
                raise
        except BaseException:
            with suppress(CacheUnavailable):  # then the sweep does it
                self._abandon(device, path, token)
            raise
        return file

    def _reserve(self, device: str, wish: Wish, limits: Limits) -> Place:
        place, deleted = Place(), ""
        for _ in range(ROUNDS):
            room = self._devices.reserve(device, wish, limits, place, deleted)
            if room.granted:
                return room.place
            if room.refused in {"busy", "room"} and self.settle(device):
                room = self._devices.reserve(device, wish, limits, room.place, "")
                if room.granted:
                    return room.place
            if room.refused == "busy":
                raise Busy(f"{wish.path} is being stored or removed on {device}")
            if room.refused:
                why = _REFUSALS[room.refused].format(quota=limits.quota)
                told = f"{wish.path}: {wish.size} bytes on {device}: {why}"
                raise QuotaExceeded(told, room.refused)
            self._files.delete(device, room.copies)
            place, deleted = room.place, room.leaving
        raise Busy(f"{wish.path}: others take all room on {device}")

    def _renewing(
        self, device: str, path: str, token: str, also: Callable[[], None]
    ) -> Callable[[], None]:
        """What keeps the reservation while a download goes on; to be called now and then."""
        renewed = self._now()

        def alive() -> None:
            nonlocal renewed
            also()
            now = self._now()
            if now - renewed < RENEW_S:
                return
            if not self._devices.renew(device, path, token, now + RESERVATION_S):
                raise Busy(f"{path}: its reservation on {device} has passed")
            renewed = now

        return alive

    def _linked(self, device: str, path: str, token: str, content: Content) -> BinaryIO:
        if not self._devices.renew(device, path, token, self._now() + RESERVATION_S):
            raise Busy(f"{path}: its reservation on {device} has passed")
        if self._files.link(device, token, content.sha256):
            file = self._files.open(device, token)
            if file is not None:
                return file
        raise Busy(f"{path}: its content was collected just now")

    def _commit(
        self,
        device: str,
        wish: Wish,
        priority: Priority,
        content: Content,
        place: Place,
        limits: Limits,
    ) -> None:
        now = self._now()
        held = Held(
            sha256=content.sha256,
            size=content.size,
            incarnation=content.stamp.as_of.incarnation,
            as_of=content.stamp.as_of.epoch,
            sources=(*own_sources(file_key(wish.path)), *content.stamp.sources),
            priority=priority,
            filled=now,
            expires=now + priority.lifetime_s,
            by=wish.by,
            copy=wish.token,
        )
        deadline = now + RESERVATION_S
        replaced = self._devices.commit(
            device, wish.path, wish.token, held, place, limits, deadline
        )
        if replaced is None:
            raise Busy(f"{wish.path}: its reservation on {device} has passed")
        if replaced:
            with suppress(CacheUnavailable):  # then the sweep does it
                self._let_go(device, wish.token, [replaced])

    def _remove(self, device: str, path: str, copy: str) -> bool:
        token, deadline = uuid.uuid4().hex, self._now() + RESERVATION_S
        policy = self.limits(device).policy
        if not self._devices.remove(device, path, copy, token, deadline, policy):
            return False
        self._let_go(device, token, [copy])
        return True

    def _let_go(self, device: str, token: str, copies: list[str] | tuple[str, ...]) -> None:
        self._files.delete(device, copies)
        self._devices.release(device, token)
