"""An invalidation as it is asked for (SPEC 3.3).

It travels as JSON in the task ``invalidation.request``, whose keyword arguments are the fields of
``Request``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from hashlib import blake2b
from typing import Any, Final

from cachekeeper.core.keys import are_keys, check_key, check_namespace, check_tag, namespace_of
from cachekeeper.core.stamps import (
    source_of_key,
    source_of_namespace,
    source_of_tag,
    source_of_value,
)
from cachekeeper.core.strategy import Consistency, Strategy, check_choice
from cachekeeper.errors import InvalidInput

MAX_NAMES: Final = 100_000
SEEDS_A_MARK: Final = 1000  # a mark is one script, and a script must stay short
MAX_REASON: Final = 200
MAX_BY: Final = 200
MAX_ID: Final = 64


@dataclass(frozen=True, slots=True)
class Request:
    """What to invalidate, when, how surely, why, and who asks."""

    id: str
    keys: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    namespaces: tuple[str, ...] = ()
    strategy: Strategy = Strategy.IMMEDIATE
    consistency: Consistency = Consistency.EVENTUAL
    cascade: bool = True
    reason: str = ""
    by: str = ""  # who asks: a process, or what its operator calls it
    at: float = 0.0  # when it was asked for, seconds since 1970

    @property
    def seeds(self) -> list[str]:
        """The sources to mark."""
        of_key = source_of_key if self.cascade else source_of_value
        return [
            *map(of_key, self.keys),
            *map(source_of_tag, self.tags),
            *map(source_of_namespace, self.namespaces),
        ]

    @property
    def is_bulk(self) -> bool:
        """Whether it takes more than one mark, and is no message for a broker."""
        return len(self.keys) + len(self.tags) + len(self.namespaces) > SEEDS_A_MARK

    @property
    def content(self) -> str:
        """What it invalidates, as a digest: two requests with one content are one piece of work."""
        return blake2b("\0".join(sorted(self.seeds)).encode(), digest_size=16).hexdigest()

    def widened(self) -> Request:
        """The same for the whole namespaces of its keys: too much, and little to keep."""
        spaces = dict.fromkeys([*self.namespaces, *map(namespace_of, self.keys)])
        return replace(self, keys=(), namespaces=tuple(spaces), cascade=True)

    def to_wire(self) -> dict[str, Any]:
        """Plain JSON values by field, the keys first: what a dashboard shows is cut at the end."""
        named = {name: list(getattr(self, name)) for name in ("keys", "tags", "namespaces")}
        rest = {
            "strategy": str(self.strategy),
            "consistency": str(self.consistency),
            "cascade": self.cascade,
            "reason": self.reason,
            "by": self.by,
            "id": self.id,
            "at": self.at,
        }
        return {name: values for name, values in named.items() if values} | rest


def make_request(
    *,
    id: object,
    at: object,
    keys: object = (),
    tags: object = (),
    namespaces: object = (),
    strategy: object = Strategy.IMMEDIATE,
    consistency: object = Consistency.EVENTUAL,
    cascade: object = True,
    reason: object = "",
    by: object = "",
    **unknown: object,
) -> Request:
    """A checked request, from a caller's arguments or from the wire.

    Raises:
        InvalidInput: a field is malformed or unknown; nothing was changed.
    """
    if unknown:
        known = ", ".join(f.name for f in fields(Request))
        raise InvalidInput(min(unknown), unknown[min(unknown)], f"the fields {known}")
    request = Request(
        id=check_id(id),
        keys=_check_keys(_texts("keys", keys)),
        tags=tuple(check_tag(t, f"tags[{i}]") for i, t in enumerate(_texts("tags", tags))),
        namespaces=tuple(
            check_namespace(n, f"namespaces[{i}]")
            for i, n in enumerate(_texts("namespaces", namespaces))
        ),
        strategy=check_choice(Strategy, strategy),
        consistency=check_choice(Consistency, consistency),
        cascade=_check_bool(cascade),
        reason=check_text("reason", reason, MAX_REASON),
        by=check_text("by", by, MAX_BY),
        at=_check_time(at),
    )
    seeds = len(request.keys) + len(request.tags) + len(request.namespaces)
    if not 1 <= seeds <= MAX_NAMES:
        raise InvalidInput("keys", f"{seeds} names", f"1 to {MAX_NAMES} keys, tags and namespaces")
    return request


def request_from_wire(data: object) -> Request:
    """A request from its JSON object. Raises InvalidInput."""
    if not isinstance(data, Mapping):
        raise InvalidInput("request", data, "an object of its fields")
    return make_request(**{"id": None, "at": None} | dict(data))


def request_from_json(text: str | bytes) -> Request:
    """A request from JSON. Raises InvalidInput."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        raise InvalidInput("request", text, "JSON") from None
    return request_from_wire(data)


def used_id(request: Request) -> InvalidInput:
    """The error of a request whose id stands for other work already."""
    return InvalidInput("id", request.id, "an id of its own; this one was used for other names")


def _check_keys(found: Iterable[object]) -> tuple[str, ...]:
    listed = list(found)
    if not are_keys(listed):
        for place, key in enumerate(listed):
            check_key(key, f"keys[{place}]")
    return tuple(map(str, listed))


def _texts(name: str, value: object) -> Iterable[object]:
    if isinstance(value, str) or not isinstance(value, list | tuple | set | frozenset):
        raise InvalidInput(name, value, "a list of texts")
    return dict.fromkeys(value) if all(isinstance(v, str) for v in value) else value


def check_id(value: object, field: str = "id") -> str:
    """The id of a request. Raises InvalidInput otherwise."""
    if not (isinstance(value, str) and 0 < len(value) <= MAX_ID and value.isprintable()):
        raise InvalidInput(field, value, f"1 to {MAX_ID} printable characters")
    return value


def check_ids(value: object, field: str = "requests") -> list[str]:
    """Ids of requests. Raises InvalidInput otherwise."""
    if not isinstance(value, list | tuple) or not value:
        raise InvalidInput(field, value, "a list of ids of requests")
    return [check_id(each, f"{field}[{place}]") for place, each in enumerate(value)]


def _check_bool(value: object) -> bool:
    if not isinstance(value, bool):
        raise InvalidInput("cascade", value, "true or false")
    return value


def check_text(field: str, value: object, at_most: int) -> str:
    """A short text that can be kept. Raises InvalidInput otherwise."""
    if not (isinstance(value, str) and len(value) <= at_most and _can_be_written(value)):
        raise InvalidInput(field, value, f"text of at most {at_most} characters")
    return value


def _can_be_written(text: str) -> bool:
    return not any("\ud800" <= c <= "\udfff" for c in text)  # lone surrogates are no UTF-8


def _check_time(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e11:
        raise InvalidInput("at", value, "seconds since 1970")
    return float(value)
