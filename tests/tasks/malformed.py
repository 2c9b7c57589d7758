"""Messages as they lie in the lists of the broker: a good one, and all the ways to spoil it."""

from __future__ import annotations

import base64
import gzip
import json
import pickle
import time
import uuid
from datetime import UTC, datetime
from typing import Any

from cachekeeper.names import Queue, Task

KEY = "photo:a"  # what every message here would invalidate
ABSENT: Any = object()


def good(queue: str = Queue.IMMEDIATE, **changes: Any) -> dict[str, Any]:
    """A message of protocol 2; ``changes`` name parts by path, as ``properties__delivery_tag``.

    A part that is ``ABSENT`` is left out; ``body`` is encoded unless it is a text.
    """
    task_id = uuid.uuid4().hex
    message: dict[str, Any] = {
        "body": [[], {"keys": [KEY]}, {}],
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {"lang": "js", "task": Task.INVALIDATE, "id": task_id},
        "properties": {
            "body_encoding": "base64",
            "delivery_info": {"exchange": "cachekeeper", "routing_key": queue},
            "delivery_tag": uuid.uuid4().hex,
        },
    }
    for path, value in changes.items():
        *folders, name = path.split("__")
        part = message
        for folder in folders:
            part = part[folder]
        part.update({name: value}) if value is not ABSENT else part.pop(name)
    if "body" in message and isinstance(body := message["body"], list):
        message["body"] = base64.b64encode(json.dumps(body).encode()).decode()
    return message


def item(**changes: Any) -> bytes:
    """A good message as it lies in a list, but for ``changes``."""
    return json.dumps(good(**changes)).encode()


def text(body: str | bytes) -> str:
    """A body that is sent as it is, in base64."""
    return base64.b64encode(body if isinstance(body, bytes) else body.encode()).decode()


def at(seconds: float) -> str:
    """A time from now."""
    return datetime.fromtimestamp(time.time() + seconds, UTC).isoformat()


def deep(levels: int) -> str:
    """Lists in lists."""
    return "[" * levels + "]" * levels


def header(name: str, value: Any) -> bytes:
    """A good message but for one header."""
    return item(**{f"headers__{name}": value})


#: What is wrong: (raw item, how the reason begins).
MALFORMED: dict[str, tuple[bytes, str]] = {
    # No JSON
    "a word": (b"hello", "message: "),
    "nothing": (b"", "message: "),
    "a NUL byte": (b"\0", "message: "),
    "no UTF-8": (b"\xff\xfe" + item(), "message: "),
    "half a message": (item()[:100], "message: "),
    "two messages": (item() + item(), "message: "),
    "a pickle": (pickle.dumps({"task": Task.INVALIDATE}), "message: "),
    "a recursion bomb": (b"[" * 1_000_000, "message: "),
    "deep lists": (deep(500).encode(), "message: "),
    "10 MB": (item(body=[[], {"keys": ["photo:" + "a" * 10_000_000]}, {}]), "message: "),
    "a number of 5000 digits": (b"9" * 5000, "message: "),
    "a typed value that is none": (b'{"__type__": "datetime", "__value__": 7}', "message: "),
    "a type that is a list": (b'{"__type__": [], "__value__": 7}', "message: "),
    # No message
    "null": (b"null", "message: "),
    "a number": (b"7", "message: "),
    "a list": (b"[]", "message: "),
    "a text": (b'"hello"', "message: "),
    "an empty object": (b"{}", "headers: "),
    # The envelope
    "no headers": (item(headers=ABSENT), "headers: "),
    "headers of null": (item(headers=None), "headers: "),
    "headers in a list": (item(headers=[]), "headers: "),
    "no properties": (item(properties=ABSENT), "properties: "),
    "properties of null": (item(properties=None), "properties: "),
    "no delivery tag": (item(properties__delivery_tag=ABSENT), "properties.delivery_tag: "),
    "a delivery tag of null": (item(properties__delivery_tag=None), "properties.delivery_tag: "),
    "a delivery tag in a list": (item(properties__delivery_tag=[]), "properties.delivery_tag: "),
    "half a character": (item(properties__delivery_tag="\ud800"), "properties.delivery_tag: "),
    "no delivery info": (item(properties__delivery_info=ABSENT), "properties.delivery_info: "),
    "a delivery info of null": (item(properties__delivery_info=None), "properties.delivery_info: "),
    "an empty delivery info": (item(properties__delivery_info={}), "properties.delivery_info: "),
    "an exchange in a list": (
        item(properties__delivery_info__exchange=[]),
        "properties.delivery_info.exchange: ",
    ),
    "a priority of a word": (item(properties__priority="high"), "properties.priority: "),
    "an endless priority": (item(properties__priority=float("inf")), "properties.priority: "),
    "a reply to a list": (item(properties__reply_to=[1]), "properties.reply_to: "),
    "an unknown body encoding": (
        item(properties__body_encoding="rot13"),
        "properties.body_encoding: ",
    ),
    "a body encoding in a list": (
        item(properties__body_encoding=["base64"]),
        "properties.body_encoding: ",
    ),
    "a clock that would stop all others": (header("clock", 10**400), "headers.clock: "),
    "a gzip bomb": (
        item(
            body=text(gzip.compress(b" " * 10_000_000)), headers__compression="application/x-gzip"
        ),
        "headers.compression: ",
    ),
    # The body
    "no body": (item(body=ABSENT), "body: "),
    "a body of null": (item(body=None), "body: "),
    "a body that is an object": (item(body={}), "body: "),
    "an empty body": (item(body=""), "body: "),
    "bad base64": (item(body="%%%"), "body: "),
    "base64 that is cut": (item(body="abcde"), "body: "),
    "base64 of no JSON": (item(body=text("hello")), "body: "),
    "base64 of no UTF-8": (item(body=text(b"\xff\xfe")), "body: "),
    "a body of half a character": (
        item(body='["\ud800"]', properties__body_encoding="utf-8"),
        "body: ",
    ),
    "a body of null in base64": (item(body=text("null")), "body: "),
    "a body that is a text": (item(body=text('"[]"')), "body: "),
    "an object for a triple": (item(body=text('{"keys": ["photo:a"]}')), "body: "),
    "two of three": (item(body=[[], {"keys": [KEY]}]), "body: "),
    "four of three": (item(body=[[], {"keys": [KEY]}, {}, {}]), "body: "),
    "arguments in an object": (item(body=[{}, {"keys": [KEY]}, {}]), "body: "),
    "names in a list": (item(body=[[], [KEY], {}]), "body: "),
    "an embedded number": (item(body=[[], {"keys": [KEY]}, 7]), "body: "),
    "an embedded task id": (item(body=[[], {"keys": [KEY]}, {"id": 7}]), "body[2].id: "),
    "a chain of words": (
        item(body=[[], {"keys": [KEY]}, {"chain": "reports.record_heartbeat"}]),
        "body[2].chain: ",
    ),
    "callbacks without tasks": (
        item(body=[[], {"keys": [KEY]}, {"callbacks": [{}]}]),
        "body[2].callbacks: ",
    ),
    "a deep body": (item(body=text(f'[[], {{"keys": {deep(200)}}}, {{}}]')), "body: "),
    "a very deep body": (item(body=text(deep(200_000))), "body: "),
    # What it is
    "another content type": (item(**{"content-type": "text/plain"}), "content-type: "),
    "no content type": (item(**{"content-type": ABSENT}), "content-type: "),
    "a content type in a list": (item(**{"content-type": []}), "content-type: "),
    "pickle for content": (
        item(
            **{"content-type": "application/x-python-serialize", "content-encoding": "binary"},
            body=text(pickle.dumps([[], {"keys": [KEY]}, {}])),
        ),
        "content-type: ",
    ),
    "an unknown content encoding": (item(**{"content-encoding": "utf-9"}), "content-encoding: "),
    "a content encoding in a list": (item(**{"content-encoding": [8]}), "content-encoding: "),
    # The task
    "protocol 1": (
        item(
            headers={},
            body=text(json.dumps({"task": Task.INVALIDATE, "id": "1", "kwargs": {"keys": [KEY]}})),
        ),
        "headers.task: ",
    ),
    "a task of nobody": (header("task", "invalidation.requests"), "headers.task: "),
    "a task in a list": (header("task", [Task.INVALIDATE]), "headers.task: "),
    "no id": (header("id", ABSENT), "headers.id: "),
    "an id of null": (header("id", None), "headers.id: "),
    "an id that is a number": (header("id", 7), "headers.id: "),
    "an id of two lines": (header("id", "1\nworker ready"), "headers.id: "),
    "an id of 10,000 characters": (header("id", "1" * 10_000), "headers.id: "),
    "a language in a list": (header("lang", ["py"]), "headers.lang: "),
    "a shadow in an object": (header("shadow", {"a": 1}), "headers.shadow: "),
    "an ETA that is a number": (header("eta", 7), "headers.eta: "),
    "an ETA that is a word": (header("eta", "soon"), "headers.eta: "),
    "an empty ETA": (header("eta", ""), "headers.eta: "),
    "an ETA in 8000 years": (header("eta", "9999-12-31T23:59:59+00:00"), "headers.eta: "),
    "an ETA beyond the visibility timeout": (header("eta", at(86_400)), "headers.eta: "),
    "an ETA before all times": (header("eta", "0001-01-01T00:00:00+23:59"), "headers.eta: "),
    "an expiry that is a list": (header("expires", []), "headers.expires: "),
    "an expiry after all times": (
        header("expires", "9999-12-31T23:59:59-23:59"),
        "headers.expires: ",
    ),
    "retries of a word": (header("retries", "3"), "headers.retries: "),
    "lost processes in a word": (header("lost", "3"), "headers.lost: "),
    "negative retries": (header("retries", -(10**30)), "headers.retries: "),
    "a time limit that is a number": (header("timelimit", 5), "headers.timelimit: "),
    "a time limit of words": (header("timelimit", ["1", "2"]), "headers.timelimit: "),
    "three time limits": (header("timelimit", [1, 2, 3]), "headers.timelimit: "),
    "a time limit of nothing": (header("timelimit", [-1, None]), "headers.timelimit: "),
    "an endless time limit": (header("timelimit", [float("inf"), None]), "headers.timelimit: "),
    "stamps of a number": (header("stamps", 7), "headers.stamps: "),
    "stamped by a number": (header("stamped_headers", 7), "headers.stamped_headers: "),
    "a header that takes the place of a method": (header("get", 1), "headers.get: "),
    "a header of Celery's own": (header("is_eager", True), "headers.is_eager: "),
    "a header that is deep": (header("trace", json.loads(deep(100))), "message: "),
    "arguments that the task does not take": (
        item(headers__task=Task.HEARTBEAT, body=[[1, 2], {}, {}]),
        "arguments: ",
    ),
    "an argument that hides the task": (
        item(body=[[], {"keys": [KEY], "task": "x"}, {}]),
        "arguments: ",
    ),
    "a purge of no request": (
        item(headers__task=Task.PURGE, body=[[], {"requests": [""]}, {}]),
        "requests[0]: ",
    ),
}
