"""The cache of a device: hit, or read-through from the tiers, never above its quota.

The order is what keeps the cap hard: bytes are reserved before anything is written, a victim's
bytes stay counted until its file is gone, a new copy's until the old one is replaced.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass

from cachekeeper.core.device import DEMAND, Held
from cachekeeper.core.keys import check_device, check_path, file_key
from cachekeeper.core.ports import Clock, Devices, Files
from cachekeeper.core.retention import Priority, rank
from cachekeeper.core.stamps import Entry, own_sources
from cachekeeper.errors import Busy, QuotaExceeded

RESERVATION_S = 60.0
ROUNDS = 20  # of evicting and trying again, while others take what was freed

Load = Callable[[str], Entry]


@dataclass(frozen=True, slots=True)
class Read:
    """What a device got; ``kept`` is false when there was no room or it is being stored."""

    body: bytes
    hit: bool
    kept: bool


class DeviceCaches:
    """All devices of a host. ``load`` reads a path through the tiers."""

    def __init__(
        self,
        *,
        devices: Devices,
        files: Files,
        load: Load,
        quota: int,
        headroom: int,
        now: Clock,
    ) -> None:
        self._devices, self._files, self._load = devices, files, load
        self._quota, self._headroom, self._now = quota, headroom, now

    def get(self, device: str, path: str) -> Read:
        """Read a file as a device does.

        Raises:
            InvalidInput: the device id or the path is malformed.
            OriginMissing, OriginUnavailable: it is not held and can't be loaded.
        """
        access = self._devices.access(check_device(device), check_path(path), self._now())
        if access.before and access.before != path:
            self._devices.saw_follow(access.before, path)
        if access.held:
            body = self._files.get(device, path, access.held.sha256)
            if body is not None:
                return Read(body, hit=True, kept=True)
        entry = self._load(path)
        try:
            self.keep(device, path, entry, Priority.MEDIUM, DEMAND)
        except (Busy, QuotaExceeded):
            return Read(entry.body, hit=False, kept=False)
        return Read(entry.body, hit=False, kept=True)

    def fetch(self, device: str, path: str) -> None:
        """Store a copy on a device, without counting that as a read.

        Raises:
            Busy, QuotaExceeded: as ``keep``.
            OriginMissing, OriginUnavailable: it can't be loaded.
        """
        self.keep(device, path, self._load(path), Priority.MEDIUM, DEMAND)

    def keep(self, device: str, path: str, entry: Entry, priority: Priority, by: str) -> None:
        """Store a copy on a device, evicting what is worth less.

        Raises:
            Busy: the path is being stored or removed at this moment.
            QuotaExceeded: it does not fit.
        """
        token = uuid.uuid4().hex
        now = self._now()
        self._reserve(device, path, entry.size, priority, by, token)
        try:
            digest = self._files.put(device, path, entry.body)
            held = Held(
                digest,
                entry.size,
                entry.stamp.as_of.incarnation,
                entry.stamp.as_of.epoch,
                (*own_sources(file_key(path)), *entry.stamp.sources),
                priority,
                now,
                now + priority.lifetime_s,
                by,
            )
            if not self._devices.commit(device, path, token, held):
                raise Busy(f"{path}: its reservation on {device} has passed")
        except BaseException:
            self.settle(device, path, token)
            raise

    def evict(self, device: str, wanted: int, below: float | None = None) -> list[str]:
        """Remove the files of lowest rank until ``wanted`` bytes are free; returns their paths."""
        token = uuid.uuid4().hex
        deadline = self._now() + RESERVATION_S
        victims = self._devices.evict(device, wanted, token, deadline, below)
        for path in victims:
            self._files.delete(device, path)
            self._devices.release(device, path, token)
        return victims

    def expire(self, device: str) -> list[str]:
        """Remove the files of a device whose lifetime has passed; returns their paths."""
        token, now = uuid.uuid4().hex, self._now()
        gone = []
        for path, held in self._devices.manifest(device).items():
            deadline = now + RESERVATION_S
            if held.expires <= now and self._devices.remove_expired(
                device, path, token, deadline, now
            ):
                self._files.delete(device, path)
                self._devices.release(device, path, token)
                gone.append(path)
        return gone

    def settle(self, device: str, path: str, token: str) -> None:
        """Undo a reservation whose holder failed: the file becomes what the manifest says."""
        held = self._devices.entry(device, path)
        if held is None or not self._files.restore(device, path, held.sha256):
            self._files.delete(device, path)
        self._devices.release(device, path, token)

    def _reserve(
        self, device: str, path: str, size: int, priority: Priority, by: str, token: str
    ) -> None:
        # What is pinned makes room for nothing: nobody is to make way in vain.
        pinned = self._devices.ledger(device).pinned
        if size > self._quota - pinned:
            beside = f", of which {pinned} are pinned" if pinned else ""
            raise QuotaExceeded(
                f"{path}: {size} bytes, the quota of {device} is {self._quota}{beside}"
            )
        # What was predicted makes room only among what is worth less than itself.
        place = rank(last_access=self._now(), accesses=0, priority=priority)
        below = None if by == DEMAND else place
        for _ in range(ROUNDS):
            deadline = self._now() + RESERVATION_S
            missing = self._devices.reserve(device, path, size, self._quota, token, deadline)
            if missing is None:
                raise Busy(f"{path} is being stored or removed on {device}")
            if missing == 0:
                return
            wanted = missing + (self._headroom if by == DEMAND else 0)
            if not self.evict(device, wanted, below):
                break
        raise QuotaExceeded(f"{path}: {size} bytes don't fit on {device} just now")
