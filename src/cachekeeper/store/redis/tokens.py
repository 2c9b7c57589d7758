"""Hashes of the tokens by which devices are known; the tokens themselves are nowhere."""

from __future__ import annotations

from cachekeeper.store.redis.connection import Connection, reachable


class RedisTokens:
    """The devices that may use the protocol."""

    def __init__(self, connection: Connection) -> None:
        self._c = connection

    def give(self, device: str, token_hash: str, now: float, *, renew: bool) -> bool:
        """Note the token of a device; false if it has one and is not to be renewed."""
        put = self._c.redis.hset if renew else self._c.redis.hsetnx
        with reachable():
            added = put(self._c.layout.tokens, device, f"{token_hash} {now}")
        return renew or bool(added)

    def of(self, device: str) -> str | None:
        """The hash of a device's token."""
        with reachable():
            raw = self._c.redis.hget(self._c.layout.tokens, device)
        return None if raw is None else str(raw.decode().split(" ")[0])

    def take(self, device: str) -> bool:
        """Forget a device's token, and the changes that were noted for whoever used it."""
        layout = self._c.layout
        with reachable(), self._c.redis.pipeline() as pipe:
            pipe.hdel(layout.tokens, device)
            pipe.hdel(layout.ledger(device), "changes", "forgotten")
            pipe.delete(layout.changes(device), layout.reports(device), layout.said(device))
            return bool(pipe.execute()[0])

    def since(self) -> dict[str, float]:
        """When each device got its token, seconds since 1970."""
        with reachable():
            found = self._c.redis.hgetall(self._c.layout.tokens)
        return {name.decode(): float(raw.decode().split(" ")[1]) for name, raw in found.items()}
