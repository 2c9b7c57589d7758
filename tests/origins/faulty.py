"""A web server on loopback that does whatever a test says, path by path."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Does = Callable[["Handler"], None]


@dataclass
class Faulty:
    """What it answers, by path (any method, or ``METHOD path``), and what it was asked."""

    port: int = 0
    answers: dict[str, Does] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    clients: list[tuple[str, int]] = field(default_factory=list)  # a path, and over which port
    headers: list[dict[str, str]] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"


class Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # a head and its body in one packet: apart they wait for each other
    faulty: Faulty

    def do_GET(self) -> None:
        self.faulty.asked.append(f"{self.command} {self.path}")
        self.faulty.clients.append((self.path, self.client_address[1]))
        self.faulty.headers.append(dict(self.headers))
        if length := int(self.headers.get("Content-Length", 0)):
            self.rfile.read(length)
        answers = self.faulty.answers
        answer = answers.get(f"{self.command} {self.path}") or answers.get(self.path)
        (answer or status(404))(self)

    do_HEAD = do_PROPFIND = do_GET  # noqa: N815  # as http.server calls them

    def answer(self, code: int, body: bytes = b"", **headers: str) -> None:
        """A whole answer, but for the length if it is given otherwise."""
        self.send_response(code)
        for name, value in {"Content_Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *values: object) -> None:
        pass


def status(code: int, **headers: str) -> Does:
    """An answer without a body."""
    return lambda handler: handler.answer(code, b"", **headers)


def content(body: bytes, **headers: str) -> Does:
    """A body, whole or by range."""

    def does(handler: Handler) -> None:
        asked = handler.headers.get("Range", "")
        if asked:
            start = int(asked.removeprefix("bytes=").partition("-")[0])
            span = f"bytes {start}-{len(body) - 1}/{len(body)}"
            handler.answer(206, body[start:], Content_Range=span, **headers)
        else:
            handler.answer(200, body, **headers)

    return does


@contextmanager
def faulty() -> Iterator[Faulty]:
    """The server; what hangs in it ends with the test."""
    made = Faulty()
    handler = type("Bound", (Handler,), {"faulty": made})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # clients that hang up
    made.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield made
    finally:
        made.over.set()
        server.shutdown()
        server.server_close()
