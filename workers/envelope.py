"""What a raw item of a queue in Redis must be before kombu may look at it.

kombu takes what it finds in a list for a message of its own making. Anything else raises where
nobody catches it, and with late acknowledgement the next worker falls over the same item. So
each is checked in full here, and whatever passes can be delivered, kept and restored.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any, Final

from kombu.utils.json import loads

from cachekeeper.errors import InvalidInput

#: The largest request that is a message (1000 names of 512 bytes, escaped, in base64): 2.1 MB.
MESSAGE_BYTES: Final = 4 * 1024 * 1024
#: Deeper JSON ends kombu's encoder or ours, which are recursive, somewhere else.
DEPTH: Final = 32
TEXT_LENGTH: Final = 255
CLOCK_BITS: Final = 63
SHOWN: Final = 60

Envelope = dict[str, Any]
_NESTED: Final = (dict, list)


def open_envelope(raw: bytes | str) -> Envelope:
    """The message in a raw item.

    Raises:
        InvalidInput: it is none; names the field and what is allowed.
    """
    if len(raw) > MESSAGE_BYTES:
        raise InvalidInput("message", f"{len(raw)} bytes", f"at most {MESSAGE_BYTES} bytes")
    message = _parse("message", raw)
    check_depth("message", message)
    return check_envelope(message)


def check_depth(field: str, value: object) -> None:
    """Refuse values that are nested too deep, without recursion. Raises InvalidInput."""
    level = [value] if isinstance(value, _NESTED) else []
    for _ in range(DEPTH):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, _NESTED)
        ]
    if level:
        raise InvalidInput(field, "nested values", f"at most {DEPTH} levels")


def check_envelope(message: object) -> Envelope:
    """A message that kombu can make its own of: the parts it reads have the types it expects.

    Raises:
        InvalidInput: names the first part that is wrong.
    """
    envelope = _object("message", message)
    headers = _object("headers", envelope.get("headers"))
    if "compression" in headers:  # a few bytes could fill the memory
        raise InvalidInput("headers.compression", headers["compression"], "no compression")
    clock = headers.get("clock", 0)
    if not (isinstance(clock, int) and 0 <= clock < 2**CLOCK_BITS):
        raise InvalidInput("headers.clock", clock, f"0 to 2^{CLOCK_BITS} - 1")
    for name in ("content-type", "content-encoding"):
        check_text(name, envelope.get(name), optional=True)
    properties = _object("properties", envelope.get("properties"))
    check_text("properties.delivery_tag", properties.get("delivery_tag"))
    _check_delivery(properties)
    _check_body(envelope.get("body"), properties.get("body_encoding"))
    return envelope


def check_text(field: str, value: object, *, optional: bool = False) -> None:
    """Refuse what is no short printable text; so is nothing, unless it is optional."""
    if value is None and optional:
        return
    least = 0 if optional else 1
    if not (isinstance(value, str) and least <= len(value) <= TEXT_LENGTH and value.isprintable()):
        null = ", or null" if optional else ""
        raise InvalidInput(field, value, f"{least} to {TEXT_LENGTH} printable characters{null}")


def check_record(raw: bytes) -> tuple[Envelope, str, str]:
    """(message, exchange, routing key) of a message that was delivered and not acknowledged.

    Raises:
        InvalidInput: it is none.
    """
    record = _parse("unacknowledged message", raw)
    if not (isinstance(record, list) and len(record) == 3):
        raise InvalidInput("unacknowledged message", raw[:SHOWN], "[message, exchange, key]")
    message, exchange, key = record
    check_depth("message", message)
    check_text("exchange", exchange, optional=True)
    check_text("routing key", key, optional=True)
    return check_envelope(message), exchange or "", key or ""


def _parse(field: str, raw: bytes | str) -> Any:
    try:
        return loads(raw)
    except Exception as error:  # kombu's decoder of typed values may raise anything
        shown = raw[:SHOWN] if len(raw) > SHOWN else raw
        reason = f"JSON in UTF-8 ({type(error).__name__})"
        raise InvalidInput(field, shown, reason) from None


def _check_delivery(properties: Mapping[str, Any]) -> None:
    info = _object("properties.delivery_info", properties.get("delivery_info"))
    for name in ("exchange", "routing_key"):
        if name not in info:
            raise InvalidInput("properties.delivery_info", _shown(info), f"an object with {name}")
        check_text(f"properties.delivery_info.{name}", info[name], optional=True)
    priority = properties.get("priority")
    if priority is not None and not (isinstance(priority, int) and 0 <= priority <= 255):
        raise InvalidInput("properties.priority", priority, "0 to 255, or null")
    for name in ("correlation_id", "reply_to"):
        check_text(f"properties.{name}", properties.get(name), optional=True)


def _check_body(body: object, encoding: object) -> None:
    if not isinstance(body, str):
        raise InvalidInput("body", _shown(body), "a text")
    if encoding not in (None, "base64", "utf-8"):
        raise InvalidInput("properties.body_encoding", encoding, "base64, utf-8 or null")
    try:
        if encoding == "base64":
            base64.b64decode(body, validate=True)
        else:
            body.encode()
    except ValueError:
        raise InvalidInput("body", body[:SHOWN], f"a text in {encoding or 'utf-8'}") from None


def _object(field: str, value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InvalidInput(field, _shown(value), "an object")
    return value


def _shown(value: object) -> str:
    """A value as JSON; other than ``repr`` it can't fail here, since that is what it came from."""
    return json.dumps(value, default=repr)[:SHOWN]
