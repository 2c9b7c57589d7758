"""Warming: a job's files are fetched a few at a time, by whichever workers are there.

A message is only a bell: what is to be done, and who does it, is in the job. A runner claims some
paths, fetches one after the other and says so after each; what it does not get to is claimed by
another when its claim has passed. What is held already is not fetched again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from cachekeeper.core.device import WARM
from cachekeeper.core.ports.devices import Devices, Source
from cachekeeper.core.ports.origins import Origin
from cachekeeper.core.ports.tiers import Clock
from cachekeeper.core.ports.warming import WarmJobs
from cachekeeper.core.retention import Priority
from cachekeeper.core.warming import RESUMABLE, Place, Taken, WarmState
from cachekeeper.errors import (
    Busy,
    CachekeeperError,
    CacheUnavailable,
    DiskFull,
    InvalidInput,
    OriginMissing,
    OriginUnavailable,
    QuotaExceeded,
    RetryableError,
)
from cachekeeper.services.device import DeviceCaches
from cachekeeper.services.prefetch import reason_of

AT_ONCE: Final = 2  # runners of a job
COUNT: Final = 32  # paths of a claim
CHUNK_S: Final = 10.0  # a runner begins no other file after this
ITEM_S: Final = 240.0  # and is given up on one after this
LEASE_S: Final = 30.0
KEEP_S: Final = 1.0
LISTED: Final = 2000  # paths of a listing that wait at a time
TRIES: Final = 3  # of a file that is being stored by others, or changes meanwhile

IsFresh = Callable[[str, str], bool]
Ring = Callable[[str], None]


class _NoLonger(RetryableError):
    """The job was cancelled, or somebody else has the claim."""


class _Stop(CachekeeperError):
    """Nothing more can be done for now, says the text."""


class Warmer:
    """Works on jobs; ``ring`` sends a message for one more runner of a job."""

    def __init__(
        self,
        *,
        jobs: WarmJobs,
        caches: DeviceCaches,
        devices: Devices,
        source: Source,
        origin: Origin,
        is_fresh: IsFresh,
        ring: Ring,
        now: Clock,
    ) -> None:
        self._jobs, self._caches, self._devices = jobs, caches, devices
        self._source, self._origin, self._is_fresh = source, origin, is_fresh
        self._ring, self._now = ring, now

    def run(self, job: str) -> str:
        """Do some of a job, and ring for the next if there is more; the job's state.

        Raises:
            OriginUnavailable: the origin can't be read just now; nothing is lost.
        """
        device = self._jobs.device(job)
        if device is None:
            return ""
        taken = self._jobs.take(job, count=COUNT, at_once=AT_ONCE, lease_s=LEASE_S)
        if not taken.token:
            return taken.state
        try:
            if taken.place is not None:
                self._list(job, taken.token, taken.place)
                for _ in range(AT_ONCE - 1):
                    self._ring(job)
            else:
                self._work(job, device, taken)
        except _Stop as stop:
            self._jobs.give_back(job, taken.token)
            self._jobs.move(job, [WarmState.RUNNING], WarmState.STOPPED, str(stop))
            return WarmState.STOPPED
        except CacheUnavailable:  # the claim ends by itself
            raise
        except BaseException:
            self._jobs.give_back(job, taken.token)
            raise
        self._ring(job)
        return WarmState.RUNNING

    def stop(self, job: str, reason: str) -> None:
        """Nothing more can be done for now."""
        self._jobs.move(job, [WarmState.RUNNING], WarmState.STOPPED, reason)

    def _work(self, job: str, device: str, taken: Taken) -> None:
        began = self._now()
        for path in taken.paths:
            if self._now() - began > CHUNK_S:
                self._jobs.give_back(job, taken.token)
                return
            alive = self._keeping(job, taken.token)
            try:
                size, held, why = self._one(device, path, alive)
            except _NoLonger:
                self._jobs.give_back(job, taken.token)
                return
            state = self._jobs.tell(job, taken.token, path, size, why, LEASE_S, held=held)
            if state != WarmState.RUNNING:
                self._jobs.give_back(job, taken.token)
                return

    def _one(self, device: str, path: str, alive: Callable[[], None]) -> tuple[int, bool, str]:
        """Fetch one file: its bytes, whether it was there already, and why it failed."""
        for attempt in range(TRIES):
            try:
                if device:
                    return self._onto(device, path, alive)
                return self._into_site(path, alive)
            except Busy as error:
                if attempt == TRIES - 1:
                    return 0, False, reason_of(error)
            except QuotaExceeded as error:
                if error.why == "oversize":
                    return 0, False, "larger_than_quota"
                raise _Stop(f"the device is full of what is worth more: {error}") from error
            except DiskFull as error:
                raise _Stop(f"the disk is full: {error}") from error
            except (OriginMissing, InvalidInput) as error:
                return 0, False, "missing" if isinstance(error, OriginMissing) else "refused"
            except OriginUnavailable:
                if self._answers():
                    return 0, False, "unreadable"
                raise
        raise AssertionError("not reached")

    def _onto(self, device: str, path: str, alive: Callable[[], None]) -> tuple[int, bool, str]:
        if self._is_fresh(device, path):
            held = self._devices.entry(device, path)
            return (held.size if held else 0), True, ""
        fetch = self._caches.fetch
        return fetch(device, path, Priority.MEDIUM, WARM, alive=alive), False, ""

    def _into_site(self, path: str, alive: Callable[[], None]) -> tuple[int, bool, str]:
        offer = self._source.offer(path)
        if offer.content is None and offer.entry is None:
            self._source.fetch(path, offer, alive)
            return offer.size, False, ""
        return offer.size, offer.content is not None, ""

    def _list(self, job: str, token: str, place: Place) -> None:
        """Look into a folder, or find out what a target is."""
        if place.is_target and place.path:
            try:
                size = self._origin.stat(place.path).size
            except (OriginMissing, InvalidInput):
                pass  # a folder, or nothing
            else:
                self._jobs.listed(job, token, [place.path], [], items=1, size=size)
                return
        try:
            found = self._origin.list(place.path)
        except (OriginMissing, InvalidInput):
            self._jobs.listed(job, token, [], [], items=1, size=0, failed="missing")
            return
        files = sorted(each.path for each in found if each.version is not None)
        rest = [path for path in files if path > place.after]
        paths, places = rest[:LISTED], list[Place]()
        if len(rest) > LISTED:
            places.append(Place(place.path, is_target=False, after=paths[-1]))
        items = size = 0
        if not place.after:  # at the first look, all of it is counted
            items, size = len(files), sum(each.version.size for each in found if each.version)
            folders = sorted((each.path for each in found if each.version is None), reverse=True)
            places = [Place(path, is_target=False) for path in folders] + places
        self._jobs.listed(job, token, paths, places, items=items, size=size)

    def _keeping(self, job: str, token: str) -> Callable[[], None]:
        """What keeps the claim while a file comes, and ends it when it is of no use any more."""
        began = kept = self._now()

        def alive() -> None:
            nonlocal kept
            now = self._now()
            if now - began > ITEM_S:
                raise OriginUnavailable(f"not within {ITEM_S:g} s")
            if now - kept < KEEP_S:
                return
            kept = now
            if self._jobs.keep(job, token, LEASE_S) != WarmState.RUNNING:
                raise _NoLonger("cancelled")

        return alive

    def _answers(self) -> bool:
        try:
            self._origin.list("")
        except CachekeeperError:
            return False
        return True


def resume(jobs: WarmJobs, job: str, ring: Ring) -> bool:
    """Have a job go on that was cancelled or has stopped; False if it was not."""
    done = jobs.move(job, RESUMABLE, WarmState.RUNNING)
    if done:
        for _ in range(AT_ONCE):
            ring(job)
    return done


def sweep(jobs: WarmJobs, ring: Ring) -> dict[str, int]:
    """Ring for each job that runs, as a bell may have been lost; for how many."""
    running = [job for job in jobs.ids() if (found := jobs.status(job)) and not found.ended]
    for job in running:
        ring(job)
    return {"warm_jobs": len(running)}
