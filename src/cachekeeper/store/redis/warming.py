"""Warm jobs in Redis."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Sequence
from typing import Final

from cachekeeper.core.warming import Place, Taken, WarmState, WarmStatus
from cachekeeper.errors import PendingFull
from cachekeeper.store.redis.connection import Arg, Connection, reachable

OPEN_AT_MOST: Final = 100  # that run; ten that have ended count as one
KEPT_S: Final = 86400.0  # after the end
SHOWN: Final = 10  # targets
FAILED: Final = "failed:"


class RedisWarmJobs:
    """Jobs, with what is still to be done and who does it."""

    def __init__(self, connection: Connection) -> None:
        self._c = connection

    def open(
        self, device: str, places: Sequence[Place], targets: Sequence[str], *, done: int = 0
    ) -> str:
        """Begin a job, of which so many items are done already; its id.

        Raises:
            PendingFull: too many are open.
        """
        job, layout = uuid.uuid4().hex[:12], self._c.layout
        args: list[Arg] = [layout.warm_job(""), job, time.time(), KEPT_S, OPEN_AT_MOST, device]
        args += [json.dumps(list(targets[:SHOWN])), done, *(each.to_text() for each in places)]
        if not self._c.run("warm_open", [layout.warm_jobs], args):
            raise PendingFull(f"warm jobs: {OPEN_AT_MOST} are open; cancel some, or wait")
        return job

    def take(self, job: str, *, count: int, at_once: int, lease_s: float) -> Taken:
        """Claim work that nobody does; what a dead process had claimed is among it."""
        token = uuid.uuid4().hex
        keys = [*self._keys(job), self._c.layout.warm_claims(job)]
        state, *found = self._c.run("warm_take", keys, [token, lease_s, count, at_once])
        if not found:
            return Taken(state.decode())
        kind, *what = (raw.decode() for raw in found)
        if kind == "p":
            return Taken(state.decode(), token, place=Place.from_text(what[0]))
        return Taken(state.decode(), token, tuple(what))

    def tell(
        self, job: str, token: str, path: str, size: int, why: str, lease_s: float, *, held: bool
    ) -> str:
        """One path is done, or failed; the job's state, '' when the claim has passed."""
        keys = [self._c.layout.warm_job(job), self._c.layout.warm_claims(job)]
        args: list[Arg] = [token, lease_s, path, size, why, int(held)]
        return str(self._c.run("warm_tell", keys, args).decode())

    def listed(
        self,
        job: str,
        token: str,
        paths: Sequence[str],
        places: Sequence[Place],
        *,
        items: int,
        size: int,
        failed: str = "",
    ) -> None:
        """What was found at a place: paths, and places to go on from."""
        keys = [*self._keys(job), self._c.layout.warm_claims(job)]
        args: list[Arg] = [token, items, size, failed, len(paths), *paths]
        self._c.run("warm_listed", keys, [*args, *(each.to_text() for each in places)])

    def give_back(self, job: str, token: str) -> None:
        """The rest of a claim is for somebody else."""
        _, *keys = [*self._keys(job), self._c.layout.warm_claims(job)]
        self._c.run("warm_give_back", keys, [token])

    def keep(self, job: str, token: str, lease_s: float) -> str:
        """Go on with a claim; the job's state, '' when the claim has passed."""
        return self.tell(job, token, "", 0, "", lease_s, held=False)

    def move(self, job: str, states: Sequence[WarmState], to: WarmState, reason: str = "") -> bool:
        """Change the state, if it is one of these."""
        key = self._c.layout.warm_job(job)
        return bool(self._c.run("warm_move", [key], [to, reason, *states]))

    def device(self, job: str) -> str | None:
        """The device that a job is for, '' for the site; None when it is unknown."""
        with reachable():
            found = self._c.redis.hget(self._c.layout.warm_job(job), "device")
        return None if found is None else str(found.decode())

    def status(self, job: str) -> WarmStatus | None:
        """How far it is; None when it is unknown."""
        layout = self._c.layout
        with reachable(), self._c.redis.pipeline() as pipe:
            pipe.hgetall(layout.warm_job(job))
            pipe.llen(layout.warm_places(job))
            pipe.hvals(layout.warm_claims(job))
            raw, places, claims = pipe.execute()
        if not raw:
            return None
        known = {name.decode(): value.decode() for name, value in raw.items()}
        listing = any(claim.split(b"\1", 2)[1] == b"p" for claim in claims)
        return _status(job, known, listed=not places and not listing)

    def ids(self) -> list[str]:
        """Every job that is remembered, the newest first."""
        with reachable():
            found = self._c.redis.zrevrange(self._c.layout.warm_jobs, 0, -1)
        return [raw.decode() for raw in found]

    def _keys(self, job: str) -> list[str]:
        layout = self._c.layout
        return [layout.warm_job(job), layout.warm_places(job), layout.warm_items(job)]


def _status(job: str, known: dict[str, str], *, listed: bool) -> WarmStatus:
    def count(name: str) -> int:
        return int(known.get(name, 0))

    failed = {k.removeprefix(FAILED): int(v) for k, v in known.items() if k.startswith(FAILED)}
    state = WarmState(known["state"])
    until = time.time() if state is WarmState.RUNNING else float(known["last"])
    took = max(0.001, until - float(known["began"]))
    speed = (count("done") - count("done_before")) / took
    left = count("items") - count("done") - sum(failed.values())
    known_end = listed and speed > 0 and state is WarmState.RUNNING
    return WarmStatus(
        id=job,
        state=state,
        device=known["device"],
        targets=tuple(json.loads(known["targets"])),
        created=float(known["created"]),
        items=count("items"),
        done=count("done"),
        held=count("held"),
        bytes=count("bytes"),
        total_bytes=count("total_bytes"),
        failed=failed,
        listed=listed,
        reason=known.get("reason", ""),
        items_per_s=speed,
        bytes_per_s=(count("bytes") - count("bytes_before")) / took,
        eta_s=max(0, left) / speed if known_end else None,
    )
