"""Servers that are down, slow, lying or not ours: a clear error in time, never half a file."""

from __future__ import annotations

import os
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from cachekeeper.core.ports.origins import Origin
from cachekeeper.errors import CachekeeperError, OriginMissing, OriginUnavailable
from tests.origins.faulty import Does, Faulty, Handler, content, faulty, status
from tests.origins.servers import dav_fields, only, webdav
from tests.origins.webdav_server import PASSWORD, USER
from tests.support import unused_port

BODY = bytes(range(256)) * 2000
IMPATIENT: dict[str, Any] = {"read_s": 0.4, "connect_s": 0.4}
GENEROUS_S = 20  # far less than for ever, far more than any machine needs


@pytest.fixture
def server() -> Iterator[Faulty]:
    with faulty() as made:
        yield made


@pytest.fixture
def origin(server: Faulty, tmp_path: Path) -> Origin:
    return of(server.url, tmp_path)


def of(url: str, state: Path, **more: Any) -> Origin:
    return only(state, url=url, **{"failures": 1000, **more})


def refused(ask: Any, *arguments: Any) -> str:
    """What the error says; it comes in time, and holds no secret."""
    began = time.monotonic()
    with pytest.raises(OriginUnavailable) as raised:
        ask(*arguments)
    assert time.monotonic() - began < GENEROUS_S
    said = str(raised.value)
    assert PASSWORD not in said
    assert "Authorization" not in said
    assert raised.value.__cause__ is None or PASSWORD not in repr(raised.value.__cause__)
    return said


@pytest.mark.parametrize("code", [400, 401, 403, 418, 429, 500, 502, 503, 504])
def test_a_refusal_is_no_missing_file(server: Faulty, origin: Origin, code: int) -> None:
    """Or the last good copy would go with it."""
    server.answers["/a"] = status(code)
    for ask in (origin.stat, origin.read, origin.open):
        assert str(code) in refused(ask, "it/a")


@pytest.mark.parametrize("code", [404, 410])
def test_only_the_server_can_say_that_a_file_is_gone(
    server: Faulty, origin: Origin, code: int
) -> None:
    server.answers["/a"] = status(code)
    for ask in (origin.stat, origin.read, origin.open):
        with pytest.raises(OriginMissing):
            ask("it/a")


@pytest.mark.parametrize("scheme", ["http", "webdav"])
def test_a_server_that_is_down_is_unavailable(scheme: str, tmp_path: Path) -> None:
    origin = of(f"{scheme}://127.0.0.1:{unused_port()}/", tmp_path)
    for ask in (origin.stat, origin.read, origin.open, origin.list):
        assert "can't be reached" in refused(ask, "it/a")


def test_a_host_that_nobody_knows_is_unavailable(tmp_path: Path) -> None:
    assert "it" in refused(of("http://nobody.invalid/", tmp_path).stat, "it/a")


@pytest.mark.parametrize("scheme", ["http", "webdav"])
def test_a_server_that_says_nothing_is_waited_for_so_long(
    server: Faulty, tmp_path: Path, scheme: str
) -> None:
    origin = of(server.url.replace("http", scheme), tmp_path, **IMPATIENT)

    def silent(handler: Handler) -> None:
        server.over.wait(60)
        handler.close_connection = True

    server.answers["/a"] = server.answers["/a/"] = silent
    for ask in (origin.stat, origin.read, origin.list):
        assert "too long" in refused(ask, "it/a")


def test_a_server_that_accepts_nothing_is_waited_for_so_long(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listening:
        origin = of(f"http://127.0.0.1:{listening.getsockname()[1]}/", tmp_path, **IMPATIENT)
        assert "too long" in refused(origin.stat, "it/a")


def _cut(after: int) -> Does:
    def does(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(BODY)))
        handler.end_headers()
        if handler.command == "GET":
            handler.wfile.write(BODY[:after])
            handler.wfile.flush()
            reset = struct.pack("ii", 1, 0)
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
            handler.connection.close()
            handler.close_connection = True

    return does


@pytest.mark.parametrize("after", [0, 1, 100_000, len(BODY) - 1])
def test_a_server_that_dies_in_the_middle_gives_no_file(
    server: Faulty, origin: Origin, after: int
) -> None:
    server.answers["/a"] = _cut(after)
    refused(origin.read, "it/a")
    with origin.open("it/a") as file, pytest.raises(OSError, match="it: "):
        file.read()


def _says(length: int, body: bytes) -> Does:
    def does(handler: Handler) -> None:
        handler.answer(200, body, Content_Length=str(length))
        handler.close_connection = True

    return does


def test_a_file_shorter_than_said_is_no_file(server: Faulty, origin: Origin) -> None:
    server.answers["/a"] = _says(len(BODY) + 1, BODY)
    assert "broke off" in refused(origin.read, "it/a")


def test_a_length_that_a_head_tells_otherwise_is_no_length(server: Faulty, origin: Origin) -> None:
    server.answers["HEAD /a"] = _says(len(BODY), BODY)
    for length in (len(BODY) - 1, len(BODY) + 1):
        server.answers["GET /a"] = _says(length, (BODY + b"x")[:length])
        assert "changed while it was read" in refused(origin.read, "it/a")


def _endless(handler: Handler) -> None:
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    try:
        while handler.command == "GET":
            handler.wfile.write(b"1\r\nx\r\n")
            handler.wfile.flush()
            time.sleep(0.05)
    except OSError:
        handler.close_connection = True


def test_a_content_of_unknown_length_is_refused(server: Faulty, origin: Origin) -> None:
    server.answers["/a"] = _endless
    for ask in (origin.stat, origin.open):
        assert "how large" in refused(ask, "it/a")


@pytest.mark.parametrize("length", ["9" * 5000, "9" * 19, "-1", "٣"])
def test_a_length_that_no_file_has_is_none(server: Faulty, tmp_path: Path, length: str) -> None:
    # Python reads no number of 5000 digits.
    server.answers["/a"] = status(200, Content_Length=length.encode().decode("latin-1"))
    assert "how large" in refused(of(server.url, tmp_path).stat, "it/a")
    row = _folder("/a").replace(
        "<resourcetype><collection/></resourcetype>",
        f"<getcontentlength>{length}</getcontentlength>",
    )
    server.answers["/a"] = lambda handler: handler.answer(207, _rows(row).encode())
    webdav = of(server.url.replace("http", "webdav"), tmp_path)
    assert "how large" in refused(webdav.stat, "it/a")


def test_the_length_of_a_part_is_not_that_of_the_file(server: Faulty, origin: Origin) -> None:
    server.answers["HEAD /a"] = status(405)
    for span in ("bytes 0-0/*", f"bytes 0-0/{'9' * 5000}"):
        server.answers["GET /a"] = status(206, Content_Range=span)
        assert "how large" in refused(origin.stat, "it/a")


def test_a_server_that_drips_is_given_up(server: Faulty, tmp_path: Path) -> None:
    """Each byte comes in time, and the file never."""
    origin = of(server.url, tmp_path, **IMPATIENT)

    def drips(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(BODY)))
        handler.end_headers()
        try:
            while handler.command == "GET":
                handler.wfile.write(b"x")
                handler.wfile.flush()
                time.sleep(0.05)
        except OSError:
            handler.close_connection = True

    server.answers["/a"] = drips
    assert "bytes in" in refused(origin.read, "it/a")


def test_a_list_without_end_is_no_list(server: Faulty, tmp_path: Path) -> None:
    origin = of(server.url, tmp_path, **IMPATIENT)
    server.answers["/a/"] = _endless
    refused(origin.list, "it/a")


def test_a_file_that_changes_while_it_is_read_is_never_a_mix(
    server: Faulty, origin: Origin
) -> None:
    server.answers["/a"] = content(b"A" * 1_000_000, ETag='"1"')
    with origin.open("it/a") as file:
        assert file.read(1000) == b"A" * 1000
        server.answers["/a"] = content(b"B" * 1_000_000, ETag='"2"')
        file.seek(900_000)
        with pytest.raises(OSError, match="changed while it was read"):
            file.read(1000)
    with origin.open("it/a") as file:
        assert file.read(1000) == b"B" * 1000
        server.answers["/a"] = content(b"C" * 1_000_000, ETag='"3"')
        with pytest.raises(OSError, match="changed while it was read"):
            file.read()


def test_a_server_without_ranges_is_read_from_its_beginning(server: Faulty, origin: Origin) -> None:
    server.answers["/a"] = lambda handler: handler.answer(200, BODY, ETag='"1"')
    with origin.open("it/a") as file:
        file.seek(400_000)
        assert file.read(10) == BODY[400_000:400_010]
        file.seek(3)
        assert file.read(10) == BODY[3:13]


def test_a_server_without_head_is_asked_by_get(server: Faulty, origin: Origin) -> None:
    server.answers["HEAD /a"] = status(405)
    server.answers["GET /a"] = content(BODY, ETag='"1"')
    assert origin.stat("it/a").size == len(BODY)
    assert origin.read("it/a") == BODY


def test_a_weak_or_missing_etag_is_helped_by_the_time_and_the_size(
    server: Faulty, origin: Origin
) -> None:
    seen = set()
    for etag, day in (('W/"1"', 1), ('W/"1"', 2), ("", 1), ("", 2)):
        date = f"Mon, 0{day} Jun 2026 10:00:00 GMT"
        more = {"ETag": etag} if etag else {}
        server.answers["/a"] = content(BODY, Last_Modified=date, **more)
        seen.add(origin.stat("it/a").token)
    assert len(seen) == 4


def test_what_is_stored_compressed_is_read_as_it_is_stored(server: Faulty, origin: Origin) -> None:
    server.answers["/a.tar.gz"] = content(b"\x1f\x8bnot for us", Content_Encoding="gzip")
    assert origin.read("it/a.tar.gz") == b"\x1f\x8bnot for us"
    assert {each["Accept-Encoding"] for each in server.headers} == {"identity"}


def test_a_redirect_to_another_server_is_not_followed(server: Faulty, tmp_path: Path) -> None:
    """Nor are the credentials shown there."""
    with faulty() as other:
        other.answers["/a"] = content(b"not yours")
        origin = of(server.url, tmp_path, **secret(tmp_path))
        elsewhere = [
            f"{other.url}a",
            f"//127.0.0.1:{other.port}/a",
            f"http://localhost:{server.port}/b",
            f"https://127.0.0.1:{server.port}/b",
            "file:///etc/passwd",
            "ftp://127.0.0.1/a",
            "http://127.0.0.1:99999999/a",
        ]
        for location in elsewhere:
            server.answers["/a"] = status(302, Location=location)
            for ask in (origin.stat, origin.read, origin.open):
                assert "redirects" in refused(ask, "it/a")
        assert other.asked == []


def test_a_redirect_out_of_the_root_is_not_followed(server: Faulty, tmp_path: Path) -> None:
    origin = of(f"{server.url}mine/", tmp_path)
    server.answers["/theirs"] = server.answers["/login"] = content(b"not yours")
    for location in ("/theirs", "../theirs", "/mine/../theirs", "/mine/%2e%2e/theirs", "/login"):
        server.answers["/mine/a"] = status(307, Location=location)
        assert "redirects" in refused(origin.read, "it/a")
    assert {path.rpartition(" ")[2] for path in server.asked} == {"/mine/a"}


def test_a_redirect_below_the_root_is_followed_but_not_in_circles(
    server: Faulty, origin: Origin
) -> None:
    server.answers["/a"] = status(301, Location="/there/b%20c")
    server.answers["/there/b%20c"] = content(BODY)
    assert origin.read("it/a") == BODY
    server.answers["/there/b%20c"] = status(301, Location="/a")
    assert "circles" in refused(origin.read, "it/a")


def test_an_idle_connection_that_the_server_closes_is_no_failure(
    server: Faulty, origin: Origin
) -> None:
    def closing(handler: Handler) -> None:
        handler.answer(200, b"x", ETag='"1"')  # without a word that the connection ends
        handler.close_connection = True

    server.answers["/a"] = closing
    for _ in range(20):
        assert origin.read("it/a") == b"x"


def test_a_wrong_password_is_told_and_not_shown(tmp_path: Path) -> None:
    folder = tmp_path / "library"
    folder.mkdir()
    (folder / "a").write_bytes(b"a")
    with webdav(folder, tmp_path) as process:
        fields = dav_fields(process.port, tmp_path)
        assert only(tmp_path, **fields).read("it/a") == b"a"
        fields["password_file"].write_text("wrong")
        origin = only(tmp_path, **fields)
        for ask in (origin.stat, origin.read, origin.open, origin.list):
            said = refused(ask, "it/a")
            assert "credentials" in said
            assert "wrong" not in said


def test_a_webdav_root_that_is_away_has_not_lost_its_files(tmp_path: Path) -> None:
    folder = tmp_path / "library"
    (folder / "inner").mkdir(parents=True)
    (folder / "inner" / "a").write_bytes(b"a")
    with webdav(folder, tmp_path) as process:
        fields = dav_fields(process.port, tmp_path)
        origin = only(tmp_path, **{**fields, "url": f"{fields['url']}inner"})
        assert origin.read("it/a") == b"a"
        (folder / "inner").rename(folder / "unmounted")
        for ask in (origin.stat, origin.read, origin.open, origin.list):
            assert "away" in refused(ask, "it/a")


def _folder(href: str) -> str:
    return (
        f"<response><href>{href}</href><propstat><prop><resourcetype><collection/></resourcetype>"
        "</prop><status>HTTP/1.1 200 OK</status></propstat></response>"
    )


def _rows(*rows: str, before: str = "") -> str:
    return f"{before}<multistatus xmlns='DAV:'>{''.join(rows)}</multistatus>"


NO_LISTS = {
    "a page of a site": (200, "<html><a href='/elsewhere'>x</a></html>"),
    "a document type": (207, _rows(_folder("/a/"), before="<!DOCTYPE a [<!ENTITY b 'c'>]>")),
    "an encoding that nobody knows": (
        207,
        _rows(_folder("/a/"), before='<?xml version="1.0" encoding="of-nobody"?>'),
    ),
    "cut XML": (207, _rows(_folder("/a/"))[:-20]),
    "other XML": (207, "<error xmlns='DAV:'/>"),
    "nothing": (207, ""),
    "another folder": (207, _rows(_folder("/elsewhere/"))),
    "a part of it": (
        207,
        _rows(
            _folder("/a/"),
            "<response><href>/a/</href><status>HTTP/1.1 507 Full</status></response>",
        ),
    ),
}


@pytest.mark.parametrize("what", NO_LISTS)
def test_what_is_no_list_is_not_an_empty_one(server: Faulty, tmp_path: Path, what: str) -> None:
    """An empty list would say that all files are gone."""
    code, body = NO_LISTS[what]
    origin = of(server.url.replace("http", "webdav"), tmp_path)
    server.answers["/a/"] = lambda handler: handler.answer(code, body.encode())
    refused(origin.list, "it/a")


def test_an_empty_folder_is_an_empty_list(server: Faulty, tmp_path: Path) -> None:
    origin = of(server.url.replace("http", "webdav"), tmp_path)
    body = _rows(_folder("http://another.name:99/a/")).encode()  # as behind a proxy
    server.answers["/a/"] = lambda handler: handler.answer(207, body)
    assert origin.list("it/a") == []


def secret(folder: Path) -> dict[str, Any]:
    """Who asks, as settings."""
    path = folder / "password"
    path.write_text(PASSWORD, encoding="utf-8")
    return {"user": USER, "password_file": path}


def test_a_fork_has_connections_of_its_own(server: Faulty, origin: Origin) -> None:
    """Two processes on one connection would read each other's answers."""
    for name in ("before", "child", "parent"):
        server.answers[f"/{name}"] = content(name.encode(), ETag=f'"{name}"')
    assert origin.read("it/before") == b"before"
    child = os.fork()
    if child == 0:
        read = b""
        with suppress(CachekeeperError):
            read = origin.read("it/child")
        os._exit(0 if read == b"child" else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert origin.read("it/parent") == b"parent"
    over = {
        name: {client for asked, client in server.clients if asked.endswith(name)}
        for name in ("before", "child", "parent")
    }
    assert over["before"] == over["parent"]
    assert over["child"].isdisjoint(over["parent"])
