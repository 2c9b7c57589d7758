"""Claims and places of prefetches, and how useful they were, in Redis."""

from __future__ import annotations

from collections.abc import Sequence

from cachekeeper.core.prefetching import DROPPED, Candidate, Ticket, Usefulness
from cachekeeper.core.stamps import Moment
from cachekeeper.store.redis.connection import Arg, Connection, reachable


class RedisPrefetches:
    """Exact across processes; what a dead one held ends by itself."""

    def __init__(self, connection: Connection) -> None:
        self._c = connection

    def plan(
        self,
        device: str,
        candidates: Sequence[Candidate],
        *,
        threshold: float,
        at_most: int,
        claim_s: float,
    ) -> tuple[Moment, list[str]]:
        """Claim what is to be fetched: the moment, and for each candidate '' or why not."""
        layout = self._c.layout
        keys = [layout.device_stats(device), layout.throttle(device), layout.manifest(device)]
        claims, away = layout.claim(device, ""), layout.away("")
        args: list[Arg] = [threshold, at_most, _ms(claim_s), claims, away]
        for each in candidates:
            args += [each.path, each.probability, each.token, each.origin]
        found = self._c.run("prefetch_plan", [*keys, layout.clock, layout.marks], args)
        return Moment(*found[:2]), [raw.decode() for raw in found[2:]]

    def begin(self, ticket: Ticket, *, per_device: int, per_origin: int, lease_s: float) -> str:
        """Take a place at the device and at the origin; '' or why not."""
        layout = self._c.layout
        keys = [*self._keys(ticket), layout.away(ticket.origin), layout.manifest(ticket.device)]
        args: list[Arg] = [ticket.path, ticket.token, *ticket.planned, per_device, per_origin]
        args.append(_ms(lease_s))
        found = self._c.run("prefetch_begin", [*keys, layout.clock, layout.marks], args)
        return str(found.decode())

    def keep(self, ticket: Ticket, lease_s: float) -> str:
        """Go on; '' or why not."""
        layout = self._c.layout
        args: list[Arg] = [ticket.path, ticket.token, *ticket.planned, _ms(lease_s)]
        keys = [*self._keys(ticket), layout.clock, layout.marks]
        return str(self._c.run("prefetch_keep", keys, args).decode())

    def end(self, ticket: Ticket, why: str = "", *, again_s: float = 0.0) -> None:
        """Give the places back; count why it was not fetched, unless it is tried again."""
        layout, origin = self._c.layout, ticket.origin
        keys = [*self._keys(ticket), layout.away(origin), layout.away_times(origin)]
        args: list[Arg] = [ticket.token, why, _ms(again_s)]
        self._c.run("prefetch_end", [*keys, layout.device_stats(ticket.device)], args)

    def dropped(self, device: str, why: str) -> None:
        """Count something that was not even planned."""
        with reachable():
            self._c.redis.hincrby(self._c.layout.device_stats(device), DROPPED + why, 1)

    def usefulness(self, device: str) -> Usefulness | None:
        """As of the last plan; None when there was none."""
        fields = ("state", "usefulness", "threshold")
        with reachable():
            state, *figures = self._c.redis.hmget(self._c.layout.throttle(device), *fields)
        return Usefulness(state.decode(), *map(float, figures)) if state else None

    def _keys(self, ticket: Ticket) -> list[str]:
        layout = self._c.layout
        places = [layout.places("device", ticket.device), layout.places("origin", ticket.origin)]
        return [layout.claim(ticket.device, ticket.path), *places]


def _ms(seconds: float) -> int:
    return int(seconds * 1000)
