"""Pins as they are exported and imported: JSON that people can read and edit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from cachekeeper.core.keys import check_device, check_path
from cachekeeper.errors import InvalidInput

VERSION: Final = 1
_FORM: Final = '{"version": 1, "devices": {ID: {"pins": [PATH, ...]}}}'


def write_pins(pins: Mapping[str, list[str]]) -> str:
    """The paths that each device has pinned, as JSON."""
    devices = {device: {"pins": paths} for device, paths in pins.items()}
    told = {"version": VERSION, "devices": devices}
    return json.dumps(told, indent=1, ensure_ascii=False)


def read_pins(text: str) -> dict[str, list[str]]:
    """The opposite of ``write_pins``. Raises InvalidInput, which names what is wrong."""
    try:
        given = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidInput("pins", text, f"JSON ({error})") from None
    if not isinstance(given, dict) or given.keys() != {"version", "devices"}:
        raise InvalidInput("pins", given, _FORM)
    if given["version"] != VERSION:
        raise InvalidInput("version", given["version"], str(VERSION))
    if not isinstance(given["devices"], dict):
        raise InvalidInput("devices", given["devices"], _FORM)
    return {check_device(device): _paths(device, of) for device, of in given["devices"].items()}


def _paths(device: str, of: Any) -> list[str]:
    field = f"devices.{device}.pins"
    paths = of.get("pins") if isinstance(of, dict) and of.keys() == {"pins"} else None
    if not isinstance(paths, list):
        raise InvalidInput(field, of, _FORM)
    return [check_path(path, f"{field}[{number}]") for number, path in enumerate(paths)]
