"""What a message of a task queue must be before Celery may look at it: protocol 2, in JSON.

Celery believes headers and body: a time limit that is no pair or a body that is no triple ends
the worker, and an ETA beyond the visibility timeout is delivered again and again. Whatever
passes can be run.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from celery import Task
from celery.app.task import Context
from celery.utils.time import maybe_iso8601, maybe_make_aware
from kombu import Message

from cachekeeper.errors import InvalidInput
from cachekeeper.names import LOST
from workers.envelope import MESSAGE_BYTES, SHOWN, check_depth, check_text

CONTENT_TYPE: Final = "application/json"
ENCODING: Final = "utf-8"
RETRIES: Final = 1000
LATEST: Final = 1e11  # seconds since 1970
#: Headers of texts that may be missing.
TEXTS: Final = ("lang", "shadow", "root_id", "parent_id", "group", "origin", "meth")
#: Headers that protocol 2 gives a meaning and that are read when a task is run.
KNOWN: Final = {
    *("task", "id", "eta", "expires", "retries", "timelimit", "argsrepr", "kwargsrepr"),
    *("group_index", "ignore_result", "replaced_task_nesting", "stamped_headers", "stamps"),
    *("redelivered", *TEXTS),
}
#: What else a request has may not come in a header: it would take the place of Celery's own.
TAKEN: Final = frozenset(dir(Context)) - KNOWN
#: What the third part of a body may hold: what is to be sent when the task has ended.
EMBEDDED: Final = ("callbacks", "errbacks", "chain", "chord")


def check_task(message: Message, tasks: Mapping[str, Task], longest_s: float, now: float) -> None:
    """Refuse a message that is no task of this application.

    ``longest_s`` is how far into the future it may reach: after so many seconds a message that
    is not acknowledged is delivered again, so what waits or runs for longer would run twice.

    Raises:
        InvalidInput: names the first field that is wrong, and what is allowed.
    """
    headers = message.headers
    check_depth("headers", headers)
    for name in ("task", "id"):
        check_text(f"headers.{name}", headers.get(name))
    task = tasks.get(headers["task"])
    if task is None:
        known = sorted(name for name in tasks if not name.startswith("celery."))
        raise InvalidInput("headers.task", headers["task"], ", ".join(known))
    _check_headers(headers, longest_s, now)
    values, fields = _arguments(message)
    try:
        task.__header__(*values, **fields)  # does nothing, and takes what the task takes
    except TypeError as error:
        raise InvalidInput(
            "arguments", [*values, fields], f"what the task takes: {error}"
        ) from None


def _check_headers(headers: Mapping[str, Any], longest_s: float, now: float) -> None:
    if taken := sorted(TAKEN & headers.keys()):
        raise InvalidInput(f"headers.{taken[0]}", headers[taken[0]], "no header of this name")
    for name in TEXTS:
        check_text(f"headers.{name}", headers.get(name), optional=True)
    for name in ("argsrepr", "kwargsrepr"):
        _check(name, headers.get(name), str, "a text")
    for name in ("ignore_result", "redelivered"):
        _check(name, headers.get(name), bool, "true or false")
    for name in ("group_index", "replaced_task_nesting"):
        _check(name, headers.get(name), int, "a whole number")
    for name in ("retries", LOST):
        times = headers.get(name)
        if times is not None and not (_whole(times) and 0 <= times <= RETRIES):
            raise InvalidInput(f"headers.{name}", times, f"0 to {RETRIES}, or null")
    _check_time("eta", headers.get("eta"), now + longest_s)
    _check_time("expires", headers.get("expires"), LATEST)
    _check_time_limits(headers.get("timelimit"), longest_s)
    stamped = headers.get("stamped_headers")
    if stamped is not None and not _all_of(str, stamped):
        raise InvalidInput("headers.stamped_headers", stamped, "a list of texts, or null")
    _check("stamps", headers.get("stamps"), dict, "an object")


def _check(name: str, value: object, kind: type, allowed: str) -> None:
    if value is not None and not isinstance(value, kind):
        raise InvalidInput(f"headers.{name}", value, f"{allowed}, or null")


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _all_of(kind: type, values: object) -> bool:
    return isinstance(values, list) and all(isinstance(value, kind) for value in values)


def _check_time(name: str, value: object, latest: float) -> None:
    if value is None:
        return
    try:
        assert isinstance(value, str)
        when = maybe_make_aware(maybe_iso8601(value)).timestamp()
    except Exception:
        raise InvalidInput(f"headers.{name}", value, "a time as in ISO 8601, or null") from None
    if not 0 <= when <= latest:
        raise InvalidInput(
            f"headers.{name}", value, f"1970 to {datetime.fromtimestamp(latest, UTC):%F %T} UTC"
        )


def _check_time_limits(pair: object, longest_s: float) -> None:
    if pair is None:
        return
    allowed = f"[hard, soft], each 1 to {longest_s:g} seconds or null"
    if not (isinstance(pair, list | tuple) and len(pair) == 2):
        raise InvalidInput("headers.timelimit", pair, allowed)
    for limit in pair:
        number = isinstance(limit, int | float) and not isinstance(limit, bool)
        if limit is not None and not (number and 1 <= limit <= longest_s):
            raise InvalidInput("headers.timelimit", pair, allowed)


def _arguments(message: Message) -> tuple[list[Any], dict[str, Any]]:
    if message.content_type != CONTENT_TYPE:
        raise InvalidInput("content-type", message.content_type, CONTENT_TYPE)
    if (message.content_encoding or ENCODING).lower() != ENCODING:
        raise InvalidInput("content-encoding", message.content_encoding, ENCODING)
    body = message.body or b""
    if len(body) > MESSAGE_BYTES:  # another broker than Redis delivers bodies of any size
        raise InvalidInput("body", f"{len(body)} bytes", f"at most {MESSAGE_BYTES} bytes")
    try:
        content = message.payload  # decoded once: Celery takes it from here too
    except Exception as error:
        allowed = f"JSON in UTF-8 ({type(error).__name__})"
        raise InvalidInput("body", body[:SHOWN], allowed) from None
    check_depth("body", content)
    match content:
        case [list(values), dict(fields), (dict() | None) as embedded]:
            _check_embedded(embedded or {})
            return values, fields
    allowed = "[[arguments], {arguments by name}, {} or null]"
    raise InvalidInput("body", body[:SHOWN], allowed)


def _check_embedded(embedded: Mapping[str, Any]) -> None:
    for name, value in embedded.items():
        if name not in EMBEDDED:
            raise InvalidInput(f"body[2].{name}", "a value", f"the names {', '.join(EMBEDDED)}")
        if value is None:
            continue
        tasks = [value] if name == "chord" else value
        if not (_all_of(dict, tasks) and all(isinstance(t.get("task"), str) for t in tasks)):
            raise InvalidInput(f"body[2].{name}", "a value", "objects that name a task, or null")
