"""The ledger of pins: which paths a device keeps whatever happens, and how many bytes they take."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from cachekeeper.core.device import PinAttempt
from cachekeeper.store.redis.connection import Arg, Connection, reachable
from cachekeeper.store.redis.devices import FORMS, device_keys


class RedisPins:
    """Pins of every device."""

    def __init__(self, connection: Connection) -> None:
        self._c = connection

    def pin(self, device: str, path: str, quota: int) -> PinAttempt:
        """Pin a path; within the quota, if it is held."""
        ranks = [self._c.layout.rank(device, policy) for policy in FORMS]
        code, *rest = self._run("device_pin", device, "", [path, quota], ranks)
        return PinAttempt(code != 0, code == 1, *rest)

    def unpin(self, device: str, path: str, policy: str, now: float, *, absent: bool) -> bool:
        """Let a path be evicted again; with ``absent``, only if it is not held."""
        args: list[Arg] = [path, policy, now, int(absent)]
        return bool(self._run("device_unpin", device, policy, args))

    def pins(self, device: str) -> dict[str, int]:
        """Bytes by path."""
        with reachable():
            found = self._c.redis.hgetall(self._c.layout.pins(device))
        return {path.decode(): int(size) for path, size in sorted(found.items())}

    def _run(
        self, script: str, device: str, policy: str, args: list[Arg], more: Iterable[str] = ()
    ) -> Any:
        return self._c.run(script, [*device_keys(self._c.layout, device, policy), *more], args)
