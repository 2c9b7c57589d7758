"""Stands in for the predictor: the next files of the folder, and what was often read next."""

from __future__ import annotations

from cachekeeper.core.keys import folder_of
from cachekeeper.core.ports.devices import Devices
from cachekeeper.core.ports.origins import Origin
from cachekeeper.core.ports.prediction import Prediction
from cachekeeper.core.relations import neighbours
from cachekeeper.errors import OriginMissing, OriginUnavailable

LIKELY = 0.75
OFTEN = 0.9


class ThinPredictor:
    """Learns nothing itself: the device's accesses are counted where they happen."""

    def __init__(self, devices: Devices, origin: Origin) -> None:
        self._devices, self._origin = devices, origin

    def observe(
        self,
        device: str,  # noqa: ARG002
        path: str,
        at: float,  # noqa: ARG002
        *,
        threshold: float,
        limit: int,
    ) -> list[Prediction]:
        """See ``Predictor``."""
        if not limit:
            return []
        try:
            listed = self._origin.list(folder_of(path))
        except (OriginMissing, OriginUnavailable):
            return []
        beside = [each.path for each in listed if each.version is not None]
        followers = self._devices.followers(path)
        found = neighbours(path, beside, followers, limit)
        often = [p for p in found if p in followers and followers[p] >= 2]
        chances = {p: OFTEN if p in often else LIKELY for p in found}
        return [
            Prediction(p, chance, chance, 0.0, 0.0, "")
            for p, chance in chances.items()
            if chance >= threshold
        ]

    def explain(self, device: str, path: str) -> list[tuple[str, Prediction]]:  # noqa: ARG002
        """See ``Predictor``."""
        return []
