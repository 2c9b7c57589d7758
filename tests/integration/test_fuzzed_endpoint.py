"""Whatever is sent to the endpoint of devices, it says what is wrong with it, soon, and goes on."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
import socket
from collections.abc import Iterator
from contextlib import suppress
from typing import Final
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.integration.endpoint import Site, endpoint
from tests.property.canary import lost_texts
from tests.property.profile import PROFILE
from tests.support import fresh_deployment

BODY: Final = bytes(range(256)) * 40
DIGEST: Final = hashlib.sha256(BODY).hexdigest()
#: Each may ask so often only; together they may ask as often as this test does.
DEVICES: Final = tuple(f"d{number}" for number in range(8))
ANSWERS_S: Final = 20.0
#: To half a request there is no answer for as long as the rest may come; we don't wait for that.
WAITS_S: Final = 0.2
#: Of those that say that the fault is not the sender's, what may be said: later, or no room.
MAY_FAIL: Final = {503, 507}

#: What says how long a request is.
FRAMING: Final = {
    "Content-Length",
    "Transfer-Encoding",
    "Expect",
    "Host",
    "Upgrade",
    "X-Forwarded-For",
}

turns = itertools.cycle(DEVICES)


@pytest.fixture(scope="module")
def site(server_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with (
        fresh_deployment(server_url) as deployment,
        endpoint(server_url, deployment, tmp_path_factory.mktemp("site")) as opened,
    ):
        (opened.library / "photo").write_bytes(BODY)
        for device in DEVICES:
            opened.token(device)
            opened.desk.cache.device(device).get("photo")
        yield opened
        assert opened.process.poll() is None
        said = opened.log.read_text()
        assert "Traceback" not in said, said[said.index("Traceback") :][:5000]
        assert opened.ask("GET", "/manifest", device=DEVICES[0]).status == 200


good_methods = st.sampled_from(["GET", "POST", "PUT", "DELETE", "HEAD"])
methods = st.one_of(
    good_methods,
    st.sampled_from(["PATCH", "OPTIONS", "TRACE", "CONNECT", "get", "", "G T", "\0", "PRI"]),
)
ASKED: Final = [
    ("GET", "manifest"),
    ("GET", f"blobs/{DIGEST}"),
    ("HEAD", f"blobs/{DIGEST}"),
    ("POST", "files"),
    ("POST", "reports"),
    ("GET", "pins"),
    ("PUT", "pins"),
    ("DELETE", "pins"),
]
good_places = st.sampled_from([place for _, place in ASKED])
places = st.one_of(
    good_places,
    lost_texts().map(lambda text: quote(text.encode(errors="surrogatepass"))),
    lost_texts().map(lambda text: "blobs/" + quote(text.encode(errors="surrogatepass"), safe="")),
    st.text(max_size=20),
)
values = st.one_of(
    st.sampled_from(["photo", "photo", "0", "1000", "1.1.1", "-1", "9" * 30]),
    lost_texts(),
)
queries: st.SearchStrategy[dict[str, str]] = st.one_of(
    st.just({}),
    st.just({"path": "photo"}),
    st.dictionaries(st.sampled_from(["path", "since", "limit", "x", "path[]"]), values, max_size=3),
)
numbers = st.one_of(st.integers(-5, 11_000).map(str), st.sampled_from(["", "x", "9" * 30, "1.5"]))
ranges = st.one_of(
    st.tuples(numbers, numbers).map(lambda pair: f"bytes={pair[0]}-{pair[1]}"),
    st.lists(st.tuples(numbers, numbers), max_size=40).map(
        lambda pairs: "bytes=" + ",".join(f"{a}-{b}" for a, b in pairs)
    ),
    st.sampled_from(["bytes", "bytes=", "bytes=-", "BYTES = 0-1", "items=0-1", "bytes=0-0,-1"]),
    st.text(max_size=10),
)
tags = st.one_of(st.sampled_from([f'"{DIGEST}"', f'W/"{DIGEST}"', "*", '"', DIGEST]), st.text())
HEADS: Final[dict[str, st.SearchStrategy[str]]] = {
    "Range": ranges,
    "If-None-Match": tags,
    "If-Range": tags,
    "Content-Length": numbers,
    "Transfer-Encoding": st.sampled_from(["chunked", "gzip, chunked", "identity", "x", ""]),
    "Content-Type": st.sampled_from(["application/json", "text/plain", "\0", "x" * 5000]),
    "Expect": st.sampled_from(["100-continue", "x"]),
    "Upgrade": st.sampled_from(["websocket", "h2c"]),
    "Host": st.text(max_size=10),
    "X-Forwarded-For": st.text(max_size=10),
}
one_head = st.sampled_from(sorted(HEADS)).flatmap(
    lambda name: HEADS[name].map(lambda text: (name, text))
)
heads: st.SearchStrategy[dict[str, str]] = st.one_of(
    st.just({}), ranges.map(lambda text: {"Range": text}), st.lists(one_head).map(dict)
)
json_leaves = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), lost_texts())
report = st.fixed_dictionaries(
    {"id": st.uuids().map(lambda made: made.hex)},
    optional={
        "accesses": st.lists(st.just("photo") | lost_texts(), max_size=3) | json_leaves,
        "state": st.fixed_dictionaries(
            {"metered": st.booleans() | json_leaves},
            optional={"battery": st.integers(-5, 110) | json_leaves},
        ),
        "x": json_leaves,
    },
)
bodies = st.one_of(
    st.just(b""),
    report.map(lambda made: json.dumps(made).encode()),
    st.binary(max_size=100),
    st.just(b"[" * 50_000),
    st.just(b"5\r\nhello\r\n0\r\n\r\n"),
    st.just(b"zz\r\n"),
)


def exchanged(site: Site, raw: bytes, *, is_whole: bool) -> bytes:
    """All that is answered until the connection ends; to a whole request it has to, in time."""
    with socket.create_connection(("127.0.0.1", site.port)) as connection:
        connection.settimeout(ANSWERS_S if is_whole else WAITS_S)
        found = bytearray()
        with suppress(ConnectionError):  # refused before all of it was sent
            connection.sendall(raw)
            try:
                while chunk := connection.recv(1 << 16):
                    found += chunk
            except TimeoutError:
                assert not is_whole
    return bytes(found)


def judged(raw: bytes) -> int:
    """The status of an answer; 0 for none."""
    if not raw:
        return 0
    first = re.match(rb"HTTP/1\.1 (\d{3}) ", raw)
    assert first is not None, raw[:200]
    status = int(first[1])
    assert status < 500 or status in MAY_FAIL, raw[:500]
    head, _, body = raw.partition(b"\r\n\r\n")
    if status >= 400 and b"application/problem+json" in head and body:
        assert json.loads(body)["status"] == status
    return status


def ask(
    site: Site,
    method: str,
    place: str,
    query: dict[str, str],
    head: dict[str, str],
    body: bytes,
    known: bool,
) -> int:
    """The status of the answer."""
    device = next(turns)
    token = site.token(device) if known else "x" * 43
    asked = "&".join(
        f"{quote(name)}={quote(value.encode(errors='surrogatepass'))}"
        for name, value in query.items()
    )
    target = f"/v1/devices/{device}/{place}" + (f"?{asked}" if asked else "")
    given_ = {
        "Host": "x",
        "Content-Length": str(len(body)),
        "Connection": "close",
        **head,
        "Authorization": f"Bearer {token}",
    }
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {text}" for name, text in given_.items())]
    raw = "\r\n".join([*lines, "", ""]).encode(errors="surrogatepass") + body
    status = judged(exchanged(site, raw, is_whole=not FRAMING & head.keys()))
    assert known or status in {0, 400, 401, 404, 405, 413, 431, 501}, status
    return status


@pytest.mark.timeout(600)
@settings(PROFILE)
@given(method=methods, place=places, query=queries, head=heads, body=bodies, known=st.booleans())
def test_every_request_is_answered_and_none_with_a_fault_of_ours(
    site: Site,
    method: str,
    place: str,
    query: dict[str, str],
    head: dict[str, str],
    body: bytes,
    known: bool,
) -> None:
    ask(site, method, place, query, head, body, known)


@pytest.mark.timeout(600)
@settings(PROFILE)
@given(asked=st.sampled_from(ASKED), query=queries, head=heads, body=bodies)
def test_so_is_every_request_to_a_place_that_there_is(
    site: Site, asked: tuple[str, str], query: dict[str, str], head: dict[str, str], body: bytes
) -> None:
    ask(site, *asked, query, head, body, known=True)


@settings(PROFILE, max_examples=max(30, PROFILE.max_examples // 5))
@given(raw=st.binary(max_size=300), before=st.sampled_from([b"", b"GET / HTTP/1.1\r\n", b"\r\n"]))
def test_any_bytes_are_answered_or_refused(site: Site, raw: bytes, before: bytes) -> None:
    judged(exchanged(site, before + raw, is_whole=False))


def test_a_slash_too_many_leads_nowhere(site: Site) -> None:
    """And not to where the request says that we are."""
    answer = site.ask("GET", "/pins/", device=DEVICES[0], headers={"Host": "elsewhere"})
    assert answer.status == 404


@settings(PROFILE)
@given(header=ranges)
def test_a_part_is_just_the_part_that_was_asked_for(site: Site, header: str) -> None:
    device = next(turns)
    wanted = header.encode("latin-1", errors="ignore").decode("latin-1")
    wanted = "".join(letter for letter in wanted if letter.isprintable())
    answer = site.ask(
        "GET", f"/blobs/{DIGEST}", device=device, headers={"Range": wanted}, path="photo"
    )
    if answer.status == 206:
        told = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", answer.headers["content-range"])
        assert told is not None
        first, last, size = map(int, told.groups())
        assert size == len(BODY)
        assert answer.body == BODY[first : last + 1]
    elif answer.status == 200:
        assert answer.body == BODY
    else:
        assert answer.status in {400, 416, 429}
