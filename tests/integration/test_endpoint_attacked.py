"""The endpoint against those who mean it harm, or whose clients are broken."""

from __future__ import annotations

import hashlib
import http.client
import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from cachekeeper.local.server import EmbeddedServer
from cachekeeper.protocol.limits import BODY_BYTES, BURST
from tests.integration.endpoint import Answer, Site, endpoint
from tests.support import fresh_deployment, unused_port, wait_until

BODY = bytes(range(256)) * 40
DIGEST = hashlib.sha256(BODY).hexdigest()
BLOB = f"/blobs/{DIGEST}"


@pytest.fixture(scope="module")
def site(server_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with (
        fresh_deployment(server_url) as deployment,
        endpoint(server_url, deployment, tmp_path_factory.mktemp("site")) as opened,
    ):
        (opened.library / "photo").write_bytes(BODY)
        opened.desk.cache.device("anna").get("photo")
        opened.token("anna")
        yield opened
        assert opened.process.poll() is None
        said = opened.log.read_text()
        assert "Traceback" not in said
        assert not [token for token in opened.tokens.values() if token in said]


def problem(answer: Answer, status: int) -> dict[str, object]:
    """What a refusal says."""
    assert answer.status == status, answer
    assert answer.headers["content-type"] == "application/problem+json"
    told = dict(answer.told)
    assert told["status"] == status
    return told


class TestWhoAsks:
    def test_whoever_is_not_known_is_told_nothing_else(self, site: Site) -> None:
        """Whether the device or the token is wrong, and whether the file is there."""
        site.token("ben")
        answers = [
            site.ask("GET", "/manifest", headers={"Authorization": ""}),
            site.ask("GET", "/manifest", headers={"Authorization": site.token("anna")}),
            site.ask("GET", "/manifest", headers={"Authorization": f"Basic {site.token('anna')}"}),
            site.ask("GET", "/manifest", token=""),
            site.ask("GET", "/manifest", token="x" * 43),
            site.ask("GET", "/manifest", token="ü" * 43),
            site.ask("GET", "/manifest", token="x" * 8000),
            site.ask("GET", "/manifest", token=site.token("ben")),
            site.ask("GET", "/manifest", device="nobody", token=site.token("anna")),
            site.ask("GET", "/manifest", device="anna%00", token=site.token("anna")),
            site.ask("GET", "/manifest", device="%2e%2e", token=site.token("anna")),
            site.ask("GET", BLOB, token=site.token("ben"), path="photo"),
            site.ask("PUT", "/pins", token=site.token("ben"), path="photo"),
            site.ask("POST", "/reports", token=site.token("ben"), body=b"{"),
        ]
        for answer in answers:
            problem(answer, 401)
            assert answer.headers["www-authenticate"] == "Bearer"
            assert answer.body == answers[0].body

    def test_a_token_that_was_revoked_or_renewed_is_worth_nothing(self, site: Site) -> None:
        first = site.desk.enrolment.add("carla")
        assert site.ask("GET", "/manifest", device="carla", token=first).status == 200
        second = site.desk.enrolment.add("carla", renew=True)
        problem(site.ask("GET", "/manifest", device="carla", token=first), 401)
        assert site.ask("GET", "/manifest", device="carla", token=second).status == 200
        assert site.desk.enrolment.revoke("carla")
        problem(site.ask("GET", "/manifest", device="carla", token=second), 401)

    def test_no_token_is_kept_anywhere(self, site: Site) -> None:
        connection = site.desk.cache.stores.connection
        kept = connection.redis.hget(connection.layout.tokens, "anna").decode()
        assert site.token("anna") not in kept
        assert hashlib.sha256(site.token("anna").encode()).hexdigest() in kept

    def test_a_hash_is_no_permission(self, site: Site) -> None:
        """Another device has just that content, and this one has the path with another."""
        problem(site.ask("GET", BLOB, path="photo", device="ben"), 404)
        (site.library / "mine").write_bytes(b"mine")
        site.desk.cache.device("ben").get("mine")
        problem(site.ask("GET", BLOB, path="mine", device="ben"), 404)
        mine = hashlib.sha256(b"mine").hexdigest()
        assert site.ask("GET", f"/blobs/{mine}", path="mine", device="ben").body == b"mine"
        problem(site.ask("GET", f"/blobs/{mine}", path="photo"), 404)

    def test_one_that_asks_too_often_is_told_to_wait_and_others_are_not(self, site: Site) -> None:
        site.token("emil")
        connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=30)
        said = []
        for _ in range(int(BURST) * 20):
            headers = {"Authorization": f"Bearer {site.token('emil')}"}
            connection.request("GET", "/v1/devices/emil/pins", headers=headers)
            answer = connection.getresponse()
            answer.read()
            said.append(answer.status)
            if answer.status == 429:
                assert answer.headers["Retry-After"] == "1"
                break
        connection.close()
        assert said[-1] == 429
        assert set(said[: int(BURST)]) == {200}
        assert site.ask("GET", "/pins").status == 200


class TestPaths:
    @pytest.mark.parametrize(
        "path", ["../secret", "/etc/passwd", "a/../../b", "a\\b", "", "a\x00b", "./a", "x" * 600]
    )
    @pytest.mark.parametrize(
        ("method", "place"), [("POST", "/files"), ("PUT", "/pins"), ("DELETE", "/pins")]
    )
    def test_one_that_leaves_the_library(
        self, site: Site, method: str, place: str, path: str
    ) -> None:
        told = problem(site.ask(method, place, path=path), 400)
        assert told["field"] == "path"
        assert "a relative path" in str(told["allowed"])

    def test_one_that_is_missing_or_not_there(self, site: Site) -> None:
        assert problem(site.ask("POST", "/files"), 400)["field"] == "path"
        problem(site.ask("POST", "/files", path="nothing"), 404)
        problem(site.ask("PUT", "/pins", path="nothing"), 404)
        assert site.ask("DELETE", "/pins", path="nothing").status == 204

    def test_a_link_in_the_library(self, site: Site) -> None:
        (site.library / "link").symlink_to("/etc/hostname")
        assert problem(site.ask("POST", "/files", path="link"), 400)["field"] == "path"

    @pytest.mark.parametrize(
        "digest",
        ["..%2f..%2f..%2fup.json", "%2e%2e", "x" * 64, "0" * 64, DIGEST.upper(), "0" * 5000],
    )
    def test_a_hash_that_is_none(self, site: Site, digest: str) -> None:
        problem(site.ask("GET", f"/blobs/{digest}", path="photo"), 404)

    def test_a_place_or_a_method_that_there_is_not(self, site: Site) -> None:
        problem(site.ask("GET", "/nothing"), 404)
        problem(site.ask("GET", "/../../v1"), 404)
        problem(site.ask("GET", "/manifest/"), 404)  # no redirect to whatever host was named
        problem(site.ask("PATCH", "/pins"), 405)
        problem(site.ask("POST", "/manifest"), 405)

    @pytest.mark.parametrize("limit", ["0", "1001", "-1", "1e3", "٣", "x" * 100, "9" * 5000])
    def test_a_limit_that_is_none(self, site: Site, limit: str) -> None:
        assert problem(site.ask("GET", "/manifest", limit=limit), 400)["field"] == "limit"

    @pytest.mark.parametrize("since", ["", "x", "1.2", "1.2.3.4.5", "-1.2.3", "9" * 21 + ".1.1"])
    def test_a_cursor_that_is_none(self, site: Site, since: str) -> None:
        assert problem(site.ask("GET", "/manifest", since=since), 400)["field"] == "since"

    @pytest.mark.parametrize("since", ["0.0.0", f"{'9' * 20}.1.{'9' * 20}", f"1.1.1.{'9' * 20}"])
    def test_a_cursor_that_was_made_up_gets_no_more_than_ones_own(
        self, site: Site, since: str
    ) -> None:
        answer = site.ask("GET", "/manifest", since=since)
        assert answer.status == 200
        assert {entry["path"] for entry in answer.told["entries"]} <= {"photo"}


class TestBodies:
    def report(self, site: Site, body: bytes, **headers: str) -> Answer:
        return site.ask("POST", "/reports", body=body, headers=headers)

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            (b"", "body"),
            (b"{", "body"),
            (b"\xff\xfe", "body"),
            (b"null", "body"),
            (b"[]", "body"),
            (b"[" * 100_000, "body"),
            (b'{"id":' * 10_000, "body"),
            (b"{}", "id"),
            (b'{"id": 1}', "id"),
            (b'{"id": "x"}', "id"),
            (b'{"id": "../../../x"}', "id"),
            (b'{"id": "12345678", "colour": "red"}', "colour"),
            (b'{"id": "12345678", "accesses": "photo"}', "accesses"),
            (b'{"id": "12345678", "accesses": [["photo"]]}', "accesses.0"),
            (b'{"id": "12345678", "accesses": ["photo", "../x"]}', "accesses[1]"),
            (b'{"id": "12345678", "accesses": ["\\ud800"]}', "body"),
            (b'{"id": "12345678", "state": {}}', "state.metered"),
            (b'{"id": "12345678", "state": {"metered": 1}}', "state.metered"),
            (b'{"id": "12345678", "state": {"metered": true, "battery": 101}}', "state.battery"),
            (b'{"id": "12345678", "state": {"metered": true, "battery": NaN}}', "state.battery"),
            (json.dumps({"id": "12345678", "accesses": ["a"] * 201}).encode(), "accesses"),
        ],
    )
    def test_one_that_is_malformed_counts_nothing(
        self, site: Site, body: bytes, field: str
    ) -> None:
        before = site.desk.cache.device("anna").ledger().counters
        assert problem(self.report(site, body), 400)["field"] == field
        assert site.desk.cache.device("anna").ledger().counters == before
        assert site.desk.reporter.state("anna") is None

    def test_one_that_is_too_large_is_refused_before_it_is_read(self, site: Site) -> None:
        with socket.create_connection(("127.0.0.1", site.port), timeout=30) as raw:
            raw.sendall(self.head(site, f"Content-Length: {BODY_BYTES + 1}"))
            assert b" 413 " in raw.recv(4096)
        with socket.create_connection(("127.0.0.1", site.port), timeout=30) as raw:
            raw.sendall(self.head(site, f"Content-Length: {'9' * 19}"))
            assert b" 413 " in raw.recv(4096)

    def test_one_without_a_length_is_not_read_for_ever(self, site: Site) -> None:
        with socket.create_connection(("127.0.0.1", site.port), timeout=30) as raw:
            raw.sendall(self.head(site, "Transfer-Encoding: chunked"))
            raw.sendall(b"50000\r\n" + b"x" * 0x50000 + b"\r\n")
            assert b" 413 " in raw.recv(4096)
            self.is_cut(raw, b"10000\r\n" + b"x" * 0x10000 + b"\r\n")

    def test_nor_is_one_of_somebody_who_is_not_known(self, site: Site) -> None:
        with socket.create_connection(("127.0.0.1", site.port), timeout=30) as raw:
            head = self.head(site, "Content-Length: 1000000").replace(b"Bearer ", b"Bearer x")
            raw.sendall(head)
            assert b" 401 " in raw.recv(4096)
            self.is_cut(raw, b"x")

    @pytest.mark.parametrize(
        "more",
        [
            "Content-Length: 5\r\nTransfer-Encoding: chunked",
            "Content-Length: 5\r\nContent-Length: 6",
            "Content-Length: -1",
            "Transfer-Encoding: gzip",
            "X: " + "x" * 20_000,
        ],
    )
    def test_a_head_that_may_mean_two_things_or_is_too_long(self, site: Site, more: str) -> None:
        with socket.create_connection(("127.0.0.1", site.port), timeout=30) as raw:
            raw.sendall(self.head(site, more) + b"hello")
            said = raw.recv(4096)
            assert said.split(b" ")[1][:1] in {b"4", b"5"}, said

    def is_cut(self, raw: socket.socket, more: bytes) -> None:
        """Send on and on, until the other side has had enough."""

        def refuses() -> bool:
            try:
                raw.sendall(more)
            except OSError:
                return True
            return False

        wait_until(refuses)

    def head(self, site: Site, more: str) -> bytes:
        lines = [
            "POST /v1/devices/anna/reports HTTP/1.1",
            "Host: localhost",
            f"Authorization: Bearer {site.token('anna')}",
            more,
        ]
        return "\r\n".join([*lines, "", ""]).encode()


class TestRanges:
    def get(self, site: Site, method: str = "GET", **headers: str) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return site.ask(method, BLOB, path="photo", headers=named)

    def test_all_of_it(self, site: Site) -> None:
        answer = self.get(site)
        assert (answer.status, answer.body) == (200, BODY)
        assert answer.headers["accept-ranges"] == "bytes"
        assert answer.headers["etag"] == f'"{DIGEST}"'
        assert self.get(site, If_None_Match=f'"x", "{DIGEST}"').status == 304

    def test_its_head_alone(self, site: Site) -> None:
        answer = self.get(site, "HEAD", Range="bytes=0-1")
        assert (answer.status, answer.body) == (200, b"")
        assert answer.headers["content-length"] == str(len(BODY))

    @pytest.mark.parametrize(
        ("asked", "start", "stop"),
        [
            ("bytes=0-0", 0, 1),
            ("bytes=100-199", 100, 200),
            ("Bytes=10000-", 10000, None),
            ("bytes=-1", -1, None),
            (f"bytes=-{len(BODY) + 1}", 0, None),
            (f"bytes=5-{'9' * 19}", 5, None),
        ],
    )
    def test_a_part_of_it(self, site: Site, asked: str, start: int, stop: int | None) -> None:
        answer = self.get(site, Range=asked)
        part = BODY[start:stop]
        assert (answer.status, answer.body) == (206, part)
        first = start % len(BODY)
        last = first + len(part) - 1
        assert answer.headers["content-range"] == f"bytes {first}-{last}/{len(BODY)}"

    @pytest.mark.parametrize(
        "asked",
        [
            f"bytes={len(BODY)}-",
            "bytes=5-4",
            "bytes=-0",
            "bytes=-",
            "bytes=0-0,2-2",
            "bytes=" + ",".join(["0-"] * 1000),
            "bytes=" + "9" * 1000 + "-",
            "bytes=0x1-2",
            "bytes",
        ],
    )
    def test_a_range_that_is_none(self, site: Site, asked: str) -> None:
        answer = self.get(site, Range=asked)
        assert problem(answer, 416)["field"] == "Range"
        assert answer.headers["content-range"] == f"bytes */{len(BODY)}"

    def test_a_range_in_another_unit_or_of_another_content_is_all_of_it(self, site: Site) -> None:
        assert self.get(site, Range="pages=1-2").status == 200
        assert self.get(site, Range="bytes=5-", If_Range='"other"').body == BODY
        assert self.get(site, Range="bytes=5-", If_Range=f'W/"{DIGEST}"').body == BODY
        assert self.get(site, Range="bytes=5-", If_Range=f'"{DIGEST}"').body == BODY[5:]


def test_a_server_that_is_away_is_a_problem_of_now(server_url: str, tmp_path: Path) -> None:
    """Nobody is let in meanwhile, and nobody told that they are unknown."""
    own = EmbeddedServer(tmp_path / "server", port=unused_port())
    own.start()
    try:
        with endpoint(own.url, "away", tmp_path, broker_url=server_url) as site:
            assert site.ask("GET", "/manifest").status == 200
            own.stop()
            answer = site.ask("GET", "/manifest")
            problem(answer, 503)
            assert answer.headers["retry-after"] == "2"
    finally:
        own.stop()
