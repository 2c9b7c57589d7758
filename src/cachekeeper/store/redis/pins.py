"""The ledger of pins: which paths a device keeps whatever happens, and how many bytes they take."""

from __future__ import annotations

from cachekeeper.core.device import PinAttempt
from cachekeeper.core.retention import Priority, rank
from cachekeeper.store.redis.connection import Connection, reachable


class RedisPins:
    """Pins of every device."""

    def __init__(self, connection: Connection) -> None:
        self._c = connection

    def pin(self, device: str, path: str, quota: int) -> PinAttempt | None:
        """Pin what is held, within the quota; None when the path is not held."""
        found = self._c.run("device_pin", self._keys(device), [path, quota])
        if found[0] == 0:
            return None
        return PinAttempt(found[0] == 1, found[1], 0 if found[0] == 1 else found[2])

    def unpin(self, device: str, path: str, now: float) -> bool:
        """Let a path be evicted again, as if it had been read once, now."""
        place = rank(last_access=now, accesses=1, priority=Priority.MEDIUM)
        return bool(self._c.run("device_unpin", self._keys(device), [path, repr(place)]))

    def pins(self, device: str) -> dict[str, int]:
        """Bytes by path."""
        with reachable():
            found = self._c.redis.hgetall(self._c.layout.pins(device))
        return {path.decode(): int(size) for path, size in sorted(found.items())}

    def _keys(self, device: str) -> list[str]:
        layout = self._c.layout
        return [
            layout.ledger(device),
            layout.manifest(device),
            layout.rank(device),
            layout.pins(device),
            layout.changes(device),
        ]
