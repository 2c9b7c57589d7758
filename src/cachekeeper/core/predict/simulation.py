"""What prefetching would have made of recorded accesses."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field

from cachekeeper.core.policy import make
from cachekeeper.core.policy.port import Policy
from cachekeeper.core.policy.simulation import share_of
from cachekeeper.core.policy.trace import Trace
from cachekeeper.core.ports.prediction import Prediction
from cachekeeper.core.predict.calibration import BINS, bin_of
from cachekeeper.core.predict.model import Model
from cachekeeper.core.predict.visits import WINDOW

ITEMS = 100_000  # as `model_items` ships
EVERYTHING = -1.0  # a threshold


@dataclass(frozen=True, slots=True)
class Foresight:
    """What came of it; shares from 0 to 1."""

    hit_before: float
    hit_after: float
    coverage: float  # of the misses, how many less
    precision: float | None  # of the files prefetched, those read while held; None without any
    prefetched: int
    extra_bytes: float  # fetched in all, beyond what is fetched without prefetching
    trigger_share: float  # of the requests, those after which something was prefetched
    calibration_error: float  # weighted |predicted - observed| over 50 bins of the probability
    predictions: int

    def to_json(self) -> dict[str, float | None]:
        """Plain JSON values, by field."""
        return asdict(self)


@dataclass(slots=True)
class _Device:
    """One cache, and what is in it that was predicted and not read yet."""

    policy: Policy
    unread: set[str] = field(default_factory=set)
    hits: int = 0
    used: int = 0
    fetched: int = 0  # bytes

    def read(self, path: str, size: int, now: float) -> None:
        if path in self.policy:
            self.hits += 1
            self.used += path in self.unread
            self.policy.on_hit(path, size, now)
        else:
            self.fetched += size
            self.policy.on_insert(path, size, now)
        self.unread.discard(path)

    def prefetch(self, path: str, size: int, now: float) -> bool:
        if path in self.policy or self.policy.on_insert(path, size, now) is None:
            return False
        self.unread.add(path)
        self.fetched += size
        return True


class _Reliability:
    """Which of all predictions came true, kept apart from the model."""

    def __init__(self, horizon_s: float) -> None:
        self._horizon_s = horizon_s
        self._open: dict[str, deque[tuple[float, dict[str, int]]]] = {}
        self._bins = [[0.0, 0.0, 0.0] for _ in range(BINS)]  # number, predicted, came true

    def read(self, device: str, path: str, now: float) -> None:
        for at, by_path in self._open.get(device, ()):
            number = by_path.pop(path, None)
            if number is not None and now - at <= self._horizon_s:
                self._bins[number][2] += 1

    def predicted(self, device: str, now: float, found: list[Prediction]) -> None:
        for each in found:
            counts = self._bins[bin_of(each.probability)]
            counts[0] += 1
            counts[1] += each.probability
        waiting = {each.path: bin_of(each.probability) for each in found}
        self._open.setdefault(device, deque(maxlen=WINDOW)).append((now, waiting))

    @property
    def number(self) -> int:
        return int(sum(each[0] for each in self._bins))

    @property
    def error(self) -> float:
        return sum(abs(told - came) for _, told, came in self._bins) / max(1, self.number)


def foresee(
    trace: Trace, horizon_s: float, *, share: float, threshold: float, at_once: int
) -> Foresight:
    """Play a trace twice, without and with prefetching.

    Each client is a device that keeps, by LRU, a share of the bytes of all objects. A prefetched
    file is there at once, with the size that it has in the trace.
    """
    capacity = share_of(trace.footprint, share)
    plain, ours = dict[str, _Device](), dict[str, _Device]()
    model, reliability = Model(horizon_s, ITEMS), _Reliability(horizon_s)
    triggered = prefetched = 0
    for client, path, size, now in _accesses(trace):
        for devices in (plain, ours):
            if client not in devices:
                devices[client] = _Device(make("lru", capacity))
            devices[client].read(path, size, now)
        reliability.read(client, path, now)
        found = model.observe(client, path, now, threshold=EVERYTHING, limit=WINDOW)
        reliability.predicted(client, now, found)
        likely = [each.path for each in found if each.probability >= threshold][:at_once]
        device = ours[client]
        fetched = sum(device.prefetch(each, trace.largest[each], now) for each in likely)
        prefetched += fetched
        triggered += fetched > 0
    hits_before = sum(device.hits for device in plain.values())
    hits_after = sum(device.hits for device in ours.values())
    used = sum(device.used for device in ours.values())
    bytes_before = sum(device.fetched for device in plain.values())
    bytes_after = sum(device.fetched for device in ours.values())
    requests = len(trace)
    return Foresight(
        hit_before=hits_before / requests,
        hit_after=hits_after / requests,
        coverage=(hits_after - hits_before) / max(1, requests - hits_before),
        precision=used / prefetched if prefetched else None,
        prefetched=prefetched,
        extra_bytes=(bytes_after - bytes_before) / max(1, bytes_before),
        trigger_share=triggered / requests,
        calibration_error=reliability.error,
        predictions=reliability.number,
    )


def _accesses(trace: Trace) -> Iterator[tuple[str, str, int, float]]:
    clients = trace.clients or [""] * len(trace)
    return zip(clients, trace.keys, trace.sizes, trace.times, strict=True)
