"""A file on the devices: which hold a copy, and what became of it on the others."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import Final

from cachekeeper.core.ports.devices import Devices
from cachekeeper.core.ports.pipeline import Causes

FILES: Final = "file:"
#: Devices that are asked, and events of each that are looked through.
ASKED: Final = 100
EVENTS: Final = 1000


@dataclass(frozen=True, slots=True)
class OnDevice:
    """A copy of a file, or the last that was heard of it."""

    device: str
    state: str  # fresh, stale, expired; evicted, or what the last read found
    at: float  # when it was filled, evicted or asked for, seconds since 1970
    size: int = 0
    said: str = ""


def on_devices(key: str, devices: Devices, causes: Causes, now: float) -> list[OnDevice]:
    """What is known of a key that is a file; nothing of another key."""
    if not key.startswith(FILES):
        return []
    path = key.removeprefix(FILES)
    found = (_on(device, path, devices, causes, now) for device in islice(devices.ids(), ASKED))
    return [each for each in found if each is not None]


def _on(device: str, path: str, devices: Devices, causes: Causes, now: float) -> OnDevice | None:
    held = devices.entry(device, path)
    if held is None:
        return _last_heard(device, path, devices)
    last, state = causes.last(held.sources), "fresh"
    if held.expires <= now:
        state = "expired"
    elif held.incarnation != causes.now().incarnation or (last and last.epoch > held.as_of):
        state = "stale"
    return OnDevice(device, state, held.filled, held.size, f"fetched by {held.by}")


def _last_heard(device: str, path: str, devices: Devices) -> OnDevice | None:
    for event in devices.events(device, EVENTS):
        at, state, of = event.split(" ", 2)
        if of == path:
            what, _, wanted = state.partition(":")
            said = f"to make room for {int(wanted):,} bytes: it was worth least" if wanted else ""
            return OnDevice(device, what, float(at), said=said)
    return None
