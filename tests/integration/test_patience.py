"""The end to waiting, with a real server whose patience is short."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from cachekeeper.protocol.limits import body_of
from cachekeeper.protocol.patience import PatientProtocol
from cachekeeper.protocol.problems import Problem, refused
from tests.support import unused_port, wait_until


class Impatient(PatientProtocol):
    head_s = 0.5
    stalled_s = 0.5
    look_s = 0.1


ended = threading.Event()


async def endless(_: Request) -> Response:
    async def chunks() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"x" * 65536
                await asyncio.sleep(0)  # as one that reads from a disk
        finally:
            ended.set()

    return StreamingResponse(chunks())


async def slow(_: Request) -> Response:
    await asyncio.sleep(1.5)
    return Response("done")


async def body(request: Request) -> Response:
    return Response(await body_of(request, within_s=0.5))


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    routes = [
        Route("/endless", endless),
        Route("/slow", slow),
        Route("/body", body, methods=["POST"]),
    ]
    app = Starlette(routes=routes, exception_handlers={Problem: refused})
    port = unused_port()
    config = uvicorn.Config(
        app, port=port, http=Impatient, ws="none", lifespan="off", log_config=None
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    wait_until(lambda: server.started)
    yield port
    server.should_exit = True
    thread.join(10)


def trickle(raw: socket.socket, byte: bytes) -> float:
    """Send a byte now and then until the other side has had enough; for how long it had not."""
    begin = time.monotonic()
    try:
        while time.monotonic() - begin < 10:
            raw.sendall(byte)
            raw.settimeout(0.05)
            try:
                if not raw.recv(1):
                    break
            except TimeoutError:
                continue
    except OSError:
        pass
    return time.monotonic() - begin


@pytest.mark.parametrize("head", [b"", b"GET /slow HTTP/1.1\r\nHost: x\r\nX: "])
def test_a_head_that_comes_byte_by_byte_is_not_waited_for(port: int, head: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port)) as raw:
        raw.sendall(head)
        assert 0.3 < trickle(raw, b"x") < 5


def test_nor_is_the_next_one_on_a_connection(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as raw:
        raw.sendall(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = b""
        while not answer.endswith(b"done"):  # work of ours is waited for
            answer += raw.recv(4096)
        assert trickle(raw, b"x") < 5


def test_a_connection_that_is_used_now_and_then_stays(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as raw:
        begin, answers = time.monotonic(), raw.makefile("rb")
        while time.monotonic() - begin < 1.5:
            raw.sendall(b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n")
            assert answers.readline().startswith(b"HTTP/1.1 404")
            while answers.readline().strip():
                pass
            answers.read(len(b"Not Found"))
        answers.close()


def test_a_body_that_comes_byte_by_byte_is_not_waited_for(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as raw:
        raw.sendall(b"POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nx")
        assert raw.recv(4096).startswith(b"HTTP/1.1 408")


def test_an_answer_that_nobody_takes_ends(port: int) -> None:
    ended.clear()
    with socket.create_connection(("127.0.0.1", port)) as raw:
        raw.sendall(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n")
        assert ended.wait(10)
