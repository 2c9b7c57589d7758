"""How far the sweep through the origin is, and who carries it on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cachekeeper.core.ports.changes import Pass
from cachekeeper.store.redis.connection import Arg, Connection, reachable

LEASE_MS = 120_000
#: Counters of a pass that have a field of their own.
COUNTED = ("folders", "same", "changed", "new", "gone", "would_go", "unavailable")


class RedisSweeps:
    """See ``core.ports.changes.Sweeps``."""

    def __init__(self, connection: Connection) -> None:
        self._c = connection
        layout = connection.layout
        self._lease, self._state = layout.sweep_lease, layout.sweep_state
        self._todo, self._suspects = layout.sweep_todo, layout.sweep_suspects
        self._figures = layout.sweep_figures

    def take(self, token: str, now: float, *, begin: bool, anew: bool) -> bool:
        """Get the lease; False when another has it, or there is nothing to do."""
        keys = [self._lease, self._state, self._todo, self._suspects, self._figures]
        args: list[Arg] = [token, LEASE_MS, now, int(begin or anew), int(anew)]
        return bool(self._c.run("sweep_take", keys, args))

    def top(self) -> str | None:
        """What is to be done next, None when nothing is left."""
        with reachable():
            found = self._c.redis.lindex(self._todo, 0)
        return None if found is None else str(found.decode())

    def done(
        self,
        token: str,
        item: str,
        *,
        then: Sequence[str] = (),
        suspect: Sequence[str] = (),
        counts: Mapping[str, int],
    ) -> bool:
        """The topmost is done; False when the lease is another's by now, and nothing was noted."""
        args: list[Arg] = [token, LEASE_MS, item, len(then), *then, len(suspect), *suspect]
        for name, amount in counts.items():
            if amount:
                args += [name, amount]
        keys = [self._lease, self._todo, self._suspects, self._figures]
        return bool(self._c.run("sweep_done", keys, args))

    def confirm(self, token: str) -> bool:
        """Begin the second phase, with the suspects. False as for ``done``."""
        keys = [self._lease, self._state, self._todo, self._suspects]
        return bool(self._c.run("sweep_confirm", keys, [token, LEASE_MS]))

    def finish(self, token: str, now: float, *, held: int = 0, error: str = "") -> bool:
        """The pass has ended, in vain if there is an ``error``; whether the next one has begun."""
        keys = [self._lease, self._state, self._todo, self._suspects, self._figures]
        return bool(self._c.run("sweep_finish", keys, [token, now, held, error]))

    def release(self, token: str) -> None:
        """Give the lease back."""
        self._c.run("sweep_release", [self._lease], [token])

    def accept(self) -> None:
        """An operator says that what is held is gone indeed."""
        with reachable():
            self._c.redis.hset(self._state, "accepted", 1)

    def state(self) -> Pass:
        """How it stands."""
        with reachable(), self._c.redis.pipeline(transaction=False) as pipe:
            pipe.hgetall(self._state).hgetall(self._figures).llen(self._suspects)
            raw, counted, suspects = pipe.execute()
        told = {name.decode(): value.decode() for name, value in raw.items()}
        figures = {name.decode(): int(value) for name, value in counted.items()}
        return Pass(
            phase=told.get("phase", ""),
            started=float(told.get("started", 0)),
            finished=float(told.get("finished", 0)),
            failed=float(told.get("failed", 0)),
            learnt="learnt" in told,
            held=int(told.get("held", 0)),
            held_since=float(told.get("held_since", 0)),
            accepted="accepted" in told,
            suspects=int(suspects),
            error=told.get("error", ""),
            figures=figures,
            **{name: figures.get(name, 0) for name in COUNTED},
        )
