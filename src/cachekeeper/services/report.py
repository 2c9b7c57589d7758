"""A device reports what it read of its own copies, and how it is."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from cachekeeper.core.device import HIT, DeviceState, Limits
from cachekeeper.core.keys import check_device, check_path
from cachekeeper.core.ports.devices import Reports
from cachekeeper.core.ports.tiers import Clock
from cachekeeper.errors import InvalidInput

PATHS_AT_MOST: Final = 200  # they are counted in one transaction
REPORT: Final = re.compile(r"[A-Za-z0-9_-]{8,64}")


@dataclass(frozen=True, slots=True)
class Reported:
    """What became of a report; ``repeated``: it was known, and nothing was counted again."""

    hits: int = 0
    misses: int = 0
    repeated: bool = False


class Reporter:
    """Takes reports."""

    def __init__(self, *, reports: Reports, limits: Callable[[str], Limits], now: Clock) -> None:
        self._reports, self._limits, self._now = reports, limits, now

    def record(
        self, device: str, report: str, paths: Sequence[str], state: DeviceState | None
    ) -> Reported:
        """Count accesses in their order, as of now, and learn what follows what.

        A report whose id is known changes nothing: a device that got no answer sends it again.

        Raises:
            InvalidInput: a field is malformed; nothing was counted.
        """
        if not REPORT.fullmatch(report):
            raise InvalidInput("id", report, f"text that matches {REPORT.pattern}")
        if len(paths) > PATHS_AT_MOST:
            raise InvalidInput("accesses", f"{len(paths)} paths", f"at most {PATHS_AT_MOST}")
        for number, path in enumerate(paths):
            check_path(path, f"accesses[{number}]")
        policy = self._limits(check_device(device)).policy
        found = self._reports.record(device, report, paths, state, self._now(), policy)
        if found is None:
            return Reported(repeated=True)
        hits = sum(access.state == HIT for access in found)
        return Reported(hits, len(found) - hits)

    def state(self, device: str) -> DeviceState | None:
        """What a device said of itself within the last day."""
        return self._reports.state(device)
