"""Asking a server over HTTP: within its root, within time-outs, every failure told apart.

urllib3 and not a file system of fsspec: docs/origins.md says what was measured.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Final

from urllib3 import BaseHTTPResponse, HTTPConnectionPool, HTTPSConnectionPool, Timeout
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NameResolutionError,
    NewConnectionError,
    ProtocolError,
    ReadTimeoutError,
    SSLError,
)

from cachekeeper.core.ports.origins import Version
from cachekeeper.errors import ForbiddenPath, OriginMissing, OriginUnavailable
from cachekeeper.origin.address import Root
from cachekeeper.origin.credentials import Credentials
from cachekeeper.origin_settings import OriginSettings

REDIRECTS: Final = 3
TRIES: Final = 2  # a server may close an idle connection at the moment at which we use it
LEAST_BYTES_PER_S: Final = 256  # less than this, for longer than read_s, is no answer
LONGEST_ANSWER: Final = 64 * 1024 * 1024  # of what is not a content
_LENGTH: Final = re.compile(r"[0-9]{1,18}")  # of what is longer no file is
_RANGE: Final = re.compile(rf"bytes ({_LENGTH.pattern})-[0-9]+/({_LENGTH.pattern})")


class Answer:
    """A successful answer, to be read and closed; ``target`` is what gave it, after redirects."""

    def __init__(self, name: str, response: BaseHTTPResponse, target: str, read_s: float) -> None:
        self._name, self._response, self._read_s = name, response, read_s
        self.status, self.headers, self.target = response.status, response.headers, target
        self._since, self._bytes = time.monotonic(), 0

    def read(self, size: int) -> bytes:
        """Up to ``size`` bytes; none at the end. Raises OriginUnavailable, also for a short one."""
        try:
            chunk: bytes | None = self._response.read1(size)
        except (HTTPError, OSError) as error:
            raise OriginUnavailable(f"{self._name}: {said(error)}") from None
        self._bytes += len(chunk or b"")
        passed = time.monotonic() - self._since
        if passed > self._read_s:
            if self._bytes < passed * LEAST_BYTES_PER_S and chunk:
                raise OriginUnavailable(f"{self._name}: {self._bytes} bytes in {passed:.0f} s")
            self._since, self._bytes = time.monotonic(), 0
        return chunk or b""

    def whole(self, at_most: int = LONGEST_ANSWER) -> bytes:
        """All of it. Raises OriginUnavailable, also if it is longer than it may be."""
        parts, size = [], 0
        while chunk := self.read(65536):
            parts.append(chunk)
            if (size := size + len(chunk)) > at_most:
                raise OriginUnavailable(f"{self._name}: an answer of more than {at_most} bytes")
        return b"".join(parts)

    def close(self) -> None:
        """Give the connection back, or up if there is more to come."""
        if self._response.length_remaining == 0:
            self._response.release_conn()
        self._response.close()


@dataclass(frozen=True, slots=True)
class Body:
    """The answer to a GET: where it begins, and which version of what size it is of."""

    answer: Answer
    version: Version
    start: int

    def read(self, size: int) -> bytes:
        """As of the answer."""
        return self.answer.read(size)

    def close(self) -> None:
        """As of the answer."""
        self.answer.close()


class Wire:
    """A server by HTTP, below one root; threads may share it, and so may forks."""

    def __init__(
        self, name: str, root: Root, credentials: Credentials, settings: OriginSettings
    ) -> None:
        self.name, self.root, self._settings = name, root, settings
        # As it is stored: what a compressed answer decompresses to may be another file.
        self._headers = {"Accept-Encoding": "identity", "User-Agent": "cachekeeper"}
        self._headers |= credentials.header
        self._pool, self._pid = self._connect(), os.getpid()

    def ask(
        self, method: str, target: str, headers: Mapping[str, str] | None = None, body: str = ""
    ) -> Answer:
        """A successful answer, after redirects that stay below the root.

        Raises:
            OriginMissing: the server has no such thing.
            OriginUnavailable: it can't be reached, refuses, fails, or sends us elsewhere.
        """
        for _ in range(REDIRECTS + 1):
            response = self._sent(method, target, headers, body)
            location = response.headers.get("Location")
            if response.status not in {301, 302, 303, 307, 308} or location is None:
                return self._good(response, target)
            response.close()
            onward = self.root.redirected(target, location)
            if onward is None:
                raise OriginUnavailable(
                    f"{self.name}: it redirects to what is not below {self.root}; "
                    "if that is meant, give the origin that url"
                )
            target = onward
        raise OriginUnavailable(f"{self.name}: it redirects in circles")

    def stat(self, path: str) -> Version:
        """What a HEAD tells of a file; raises as ``ask``, and ForbiddenPath for a folder."""
        target = self.root.target(path)
        try:
            with closing(self.ask("HEAD", target)) as answer:
                if _size(answer.headers) is not None:
                    return self._version(answer, path)
        except NotAllowed:
            pass  # some servers know GET only
        with closing(self.ask("GET", target, {"Range": "bytes=0-0"})) as answer:
            return self._version(answer, path)

    def get(self, path: str, start: int = 0) -> Body:
        """A content from a position on, or from its beginning; raises as ``stat``."""
        ranged = {"Range": f"bytes={start}-"} if start else None
        answer = self.ask("GET", self.root.target(path), ranged)
        try:
            version = self._version(answer, path)
        except BaseException:
            answer.close()
            raise
        found = _RANGE.fullmatch(answer.headers.get("Content-Range", ""))
        return Body(answer, version, int(found[1]) if answer.status == 206 and found else 0)

    def __repr__(self) -> str:
        return f"<Wire {self.root}>"

    def _version(self, answer: Answer, path: str) -> Version:
        if answer.target.endswith("/"):
            raise ForbiddenPath("path", path, "a regular file")
        size = _size(answer.headers)
        if size is None:
            raise OriginUnavailable(f"{self.name}: it does not say how large {path} is")
        etag = answer.headers.get("ETag", "").strip()
        modified = answer.headers.get("Last-Modified", "")
        return Version(size, token_of(etag, modified, size))

    def _sent(
        self, method: str, target: str, headers: Mapping[str, str] | None, body: str
    ) -> BaseHTTPResponse:
        for left in reversed(range(TRIES)):
            try:
                return self._connected().urlopen(
                    method,
                    target,
                    body=body.encode() or None,
                    headers={**self._headers, **(headers or {})},
                    retries=False,
                    redirect=False,
                    preload_content=False,
                    decode_content=False,
                )
            except (HTTPError, OSError) as error:
                if left and isinstance(error, ProtocolError):
                    continue
                raise OriginUnavailable(f"{self.name}: {said(error)}") from None
        raise AssertionError

    def _good(self, response: BaseHTTPResponse, target: str) -> Answer:
        if response.status < 300:
            return Answer(self.name, response, target, self._settings.read_s)
        response.close()
        path, status = self.root.below(target) or "such folder", response.status
        if status in {404, 410}:
            raise OriginMissing(f"{self.name} has no {path}")
        if status in {401, 403}:
            raise OriginUnavailable(f"{self.name}: it refuses us ({status}): see its credentials")
        kind = NotAllowed if status in {405, 501} else OriginUnavailable
        raise kind(f"{self.name}: it answers {status} for {path}")

    def _connected(self) -> HTTPConnectionPool:
        if self._pid != os.getpid():  # a fork: the parent's connections are not ours to use
            self._pool, self._pid = self._connect(), os.getpid()
        return self._pool

    def _connect(self) -> HTTPConnectionPool:
        settings, root = self._settings, self.root
        timeout = Timeout(connect=settings.connect_s, read=settings.read_s)
        if root.scheme == "http":
            return HTTPConnectionPool(
                root.host, root.port, timeout=timeout, maxsize=settings.concurrency
            )
        return HTTPSConnectionPool(
            root.host,
            root.port,
            timeout=timeout,
            maxsize=settings.concurrency,
            ca_certs=str(settings.ca_file) if settings.ca_file else None,
        )


class NotAllowed(OriginUnavailable):
    """The server does not know this method."""


def token_of(etag: str, modified: str, size: int) -> str:
    """The change token: a strong ETag, else all that there is."""
    if etag and not etag.startswith("W/"):
        return etag.strip('"')
    return f"{etag} {modified} {size}".strip()


def length_in(text: str) -> int | None:
    """A number of bytes, None if it can be none."""
    return int(text) if _LENGTH.fullmatch(text) else None


def said(error: Exception) -> str:
    """What went wrong, in words that hold neither a header nor a secret."""
    known = {  # the first that fits: some are kinds of others
        ReadTimeoutError: "it takes too long to answer",
        NameResolutionError: "nobody knows its host",
        NewConnectionError: "it can't be reached",
        ConnectTimeoutError: "it takes too long to connect",
        SSLError: "no safe connection: see its certificate and ca_file",
        ProtocolError: "the connection broke off",
    }
    found = (text for kind, text in known.items() if isinstance(error, kind))
    return next(found, f"it failed ({type(error).__name__})")


def _size(headers: Mapping[str, str]) -> int | None:
    if span := headers.get("Content-Range"):  # beside it, the length is that of a part
        found = _RANGE.fullmatch(span)
        return int(found[2]) if found else None
    return length_in(headers.get("Content-Length", ""))
