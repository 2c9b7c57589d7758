"""How values become bytes: as they are, or as JSON. Never pickle, which runs what it reads."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple

from cachekeeper.errors import InvalidInput


class Serializer(NamedTuple):
    """A pair of functions that undo each other."""

    dump: Callable[[Any], bytes]
    load: Callable[[bytes], Any]


def _as_bytes(value: object) -> bytes:
    if not isinstance(value, bytes | bytearray | memoryview):
        raise InvalidInput("value", type(value).__name__, "bytes (serializer 'bytes')")
    return bytes(value)


def _as_json(value: object) -> bytes:
    try:
        return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise InvalidInput("value", value, f"JSON values ({error})") from None


_SERIALIZERS = {
    "bytes": Serializer(_as_bytes, bytes),
    "json": Serializer(_as_json, json.loads),
}


def serializer(name: str) -> Serializer:
    """The serializer of a name. Raises InvalidInput."""
    try:
        return _SERIALIZERS[name]
    except KeyError:
        raise InvalidInput("serializer", name, ", ".join(_SERIALIZERS)) from None
