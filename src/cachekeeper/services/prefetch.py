"""Fetching what a device is likely to read next."""

from __future__ import annotations

from collections.abc import Callable

from cachekeeper.core.device import PREFETCH
from cachekeeper.core.keys import check_device, check_path, folder_of
from cachekeeper.core.ports.devices import Devices, Reports
from cachekeeper.core.ports.origins import Origin
from cachekeeper.core.ports.prediction import Predictor
from cachekeeper.core.relations import following
from cachekeeper.core.retention import Priority
from cachekeeper.errors import Busy, DiskFull, OriginMissing, QuotaExceeded
from cachekeeper.services.device import DeviceCaches
from cachekeeper.services.relatives import Relatives


def decay(predictor: Predictor, before: float) -> int:
    """Forget the files that were last read before a time; returns how many."""
    return predictor.forget(before)


LIKELY = 0.7  # a probability from which on a file is fetched


class Prefetcher:
    """Fetches the neighbours of a file that a device has just read."""

    def __init__(
        self,
        *,
        devices: Devices,
        reports: Reports,
        caches: DeviceCaches,
        origin: Origin,
        predictor: Predictor,
        relatives: Relatives,
        now: Callable[[], float],
        limit: int,
    ) -> None:
        self._devices, self._reports = devices, reports
        self._caches, self._origin, self._limit = caches, origin, limit
        self._predictor, self._relatives, self._now = predictor, relatives, now

    def fetch_neighbours(self, device: str, path: str) -> list[str]:
        """Fetch up to the limit of files; returns those stored.

        None for a device that has said that it is metered or low on battery.

        Raises:
            InvalidInput: the device id or the path is malformed.
            OriginUnavailable: the origin can't be read just now.
        """
        state = self._reports.state(check_device(device))
        if state and state.spares:
            return []
        listed = self._origin.list(folder_of(check_path(path)))
        beside = [each.path for each in listed if each.version is not None]
        predicted = self._predictor.observe(
            device,
            path,
            self._now(),
            threshold=LIKELY,
            limit=self._limit,
            related=self._relatives.of(path, beside),
        )
        next_ones = following(path, beside, self._limit)
        likely = dict.fromkeys([*(each.path for each in predicted), *next_ones])
        wanted = list(likely)[: self._limit]
        return [candidate for candidate in wanted if self._fetch(device, candidate)]

    def _fetch(self, device: str, path: str) -> bool:
        if self._devices.entry(device, path) is not None:
            return False
        try:
            self._caches.fetch(device, path, Priority.LOW, PREFETCH)
        except (Busy, QuotaExceeded, DiskFull, OriginMissing):
            return False  # a prediction may be dropped at any time
        return True
