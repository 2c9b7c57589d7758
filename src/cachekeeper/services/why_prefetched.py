"""Why a file was fetched for a device before it asked, and whether that was any use."""

from __future__ import annotations

from dataclasses import dataclass

from cachekeeper.core.device import PREFETCH
from cachekeeper.core.keys import check_device, check_path
from cachekeeper.core.policy.recorded import ACCESSES
from cachekeeper.core.ports.devices import Devices
from cachekeeper.core.ports.prediction import Predictor, Reason
from cachekeeper.core.predict.evidence import Own, own_evidence

EVENTS = 1000  # as many as a device keeps


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one file says of another, by all devices and by this one."""

    reason: Reason
    own: Own


@dataclass(frozen=True, slots=True)
class WhyPrefetched:
    """A file of a device, and what speaks for its being read soon, as of now."""

    device: str
    path: str
    held: bool
    by: str  # who had it fetched, '' for one that is not held
    fetched: float | None  # when
    read: float | None  # when it was last read since, as far as it is on record
    evidence: list[Evidence]  # what was read last first

    @property
    def prefetched(self) -> bool:
        """Whether the copy that is held was fetched before it was asked for."""
        return self.by == PREFETCH

    @property
    def best(self) -> Evidence | None:
        """What speaks for it most."""
        return max(self.evidence, key=lambda each: each.reason.prediction.probability, default=None)


def why_prefetched(devices: Devices, predictor: Predictor, device: str, path: str) -> WhyPrefetched:
    """Look it up; nothing is changed.

    Raises:
        InvalidInput: the device id or the path is malformed.
        CacheUnavailable: the server can't be reached.
    """
    held = devices.entry(check_device(device), check_path(path))
    events = [event.split(" ", 2) for event in devices.events(device, EVENTS)][::-1]
    accesses = [(float(at), each) for at, state, each in events if state in ACCESSES]
    read = [each for _, each in accesses]
    reasons = predictor.explain(device, path)
    evidence = [Evidence(each, own_evidence(read, each.after, path)) for each in reasons]
    since = [at for at, each in accesses if held and each == path and at > held.filled]
    return WhyPrefetched(
        device=device,
        path=path,
        held=held is not None,
        by=held.by if held else "",
        fetched=held.filled if held else None,
        read=max(since, default=None),
        evidence=evidence,
    )
