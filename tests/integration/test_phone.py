"""A phone, in a process of its own, over real HTTP: it follows, downloads, reads, reports, pins."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cachekeeper.core.following import parse_cursor
from cachekeeper.core.request import make_request
from tests.integration.endpoint import Site, endpoint
from tests.support import fresh_deployment

MIB = 1024 * 1024


@pytest.fixture
def site(server_url: str, tmp_path: Path) -> Iterator[Site]:
    with (
        fresh_deployment(server_url) as deployment,
        endpoint(
            server_url, deployment, tmp_path, device_quota=20 * MIB, device_headroom=0
        ) as opened,
    ):
        yield opened


def does(site: Site, folder: Path, *arguments: str) -> Any:
    """What the phone prints."""
    done = site.phone(folder, *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def test_a_phone_follows_its_manifest(site: Site, tmp_path: Path) -> None:
    phone, library = tmp_path / "phone", site.library
    (library / "a b").mkdir()
    for name in ("a b/ü&?#%.jpg", "b", "empty"):
        (library / name).write_bytes(b"" if name == "empty" else name.encode() * 1000)
    anna = site.desk.cache.device("anna")
    anna.get("a b/ü&?#%.jpg")
    anna.get("empty")
    assert does(site, phone, "sync") == {"entries": 2, "fetched": 2, "held": 2}
    assert does(site, phone, "sync") == {"entries": 0, "fetched": 0, "held": 2}

    anna.get("b")
    assert does(site, phone, "sync") == {"entries": 1, "fetched": 1, "held": 3}
    site.desk.cache.device_caches.evict("anna", 1)
    assert does(site, phone, "sync")["held"] == 2

    site.edit("b", b"new")  # a device learns at its next sync that its copy is an old one
    assert does(site, phone, "sync") == {"entries": 1, "fetched": 0, "held": 2}
    assert state_of(phone)["manifest"]["b"]["stale"] is True
    assert does(site, phone, "read", "b") == {"b": 3}
    assert does(site, phone, "sync") == {"entries": 1, "fetched": 0, "held": 2}
    assert state_of(phone)["manifest"]["b"]["stale"] is False
    assert len(list((phone / "blobs").iterdir())) == 2


def test_a_download_that_was_cut_goes_on_where_it_ended(site: Site, tmp_path: Path) -> None:
    phone, body = tmp_path / "phone", random.Random(1).randbytes(5 * MIB + 7)
    (site.library / "film").write_bytes(body)
    done = site.phone(phone, "read", "film", f"--cut-after={2 * MIB + 1}")
    assert (done.returncode, done.stderr) == (1, "Cut: the connection was lost\n")
    done = site.phone(phone, "sync", f"--cut-after={MIB}")
    assert done.stderr.startswith(f"resumed film at {2 * MIB + 1}: 206\nCut")
    done = site.phone(phone, "sync")
    assert done.stderr == f"resumed film at {3 * MIB + 1}: 206\n"
    (blob,) = (phone / "blobs").iterdir()
    assert blob.read_bytes() == body


def test_a_damaged_part_is_noticed_and_fetched_anew(site: Site, tmp_path: Path) -> None:
    phone, body = tmp_path / "phone", random.Random(2).randbytes(MIB)
    (site.library / "film").write_bytes(body)
    site.phone(phone, "read", "film", "--cut-after=1000")
    (part,) = (phone / "blobs").iterdir()
    part.write_bytes(b"x" * 1000)
    assert "not the content that was promised" in site.phone(phone, "sync").stderr
    assert does(site, phone, "sync")["fetched"] == 1


def test_what_it_reads_by_itself_is_reported_once(site: Site, tmp_path: Path) -> None:
    phone = tmp_path / "phone"
    for name in ("a", "b"):
        (site.library / name).write_text(name)
    does(site, phone, "read", "a", "b")
    does(site, phone, "read", "b", "b", "a")
    kept = (phone / "phone.json").read_text()
    assert does(site, phone, "report", "--metered", "--battery=15") == {
        "hits": 3,
        "misses": 0,
        "repeated": False,
    }
    counters = site.desk.cache.device("anna").ledger().counters
    assert (counters["misses"], counters["hits"]) == (2, 3)
    state = site.desk.reporter.state("anna")
    assert state is not None
    assert (state.metered, state.battery, state.spares) == (True, 15, True)

    # It is killed before it has written down that there was an answer.
    unsent = json.loads(kept)
    assert unsent["reads"] == ["b", "b", "a"]
    first = json.dumps({"id": "x" * 32, "accesses": ["a"], "state": None}).encode()
    assert site.ask("POST", "/reports", body=first).told["hits"] == 1
    assert site.ask("POST", "/reports", body=first).told == {
        "hits": 0,
        "misses": 0,
        "repeated": True,
    }
    assert site.desk.cache.device("anna").ledger().counters["hits"] == 4


def test_it_pins_within_its_quota(site: Site, tmp_path: Path) -> None:
    phone = tmp_path / "phone"
    for number in range(5):
        (site.library / str(number)).write_bytes(bytes([number]) * 8 * MIB)
    assert does(site, phone, "pin", "0", "1") == [
        {"path": "0", "bytes": 8 * MIB},
        {"path": "1", "bytes": 8 * MIB},
    ]
    refused = site.phone(phone, "pin", "2")
    assert refused.returncode == 1
    assert (
        "Refused: 507 2: 8388608 bytes on anna: it does not fit beside what is pinned"
        in refused.stderr
    )
    does(site, phone, "unpin", "0")
    for number in (2, 3, 4):
        does(site, phone, "read", str(number))
    does(site, phone, "sync")
    pinned = {path for path, entry in state_of(phone)["manifest"].items() if entry["pinned"]}
    assert pinned == {"1"}
    assert site.ask("GET", "/pins").told == {
        "pins": [{"path": "1", "bytes": 8 * MIB}],
        "bytes": 8 * MIB,
    }


def test_a_long_manifest_is_told_in_pages_and_changes_between_them_are_not_missed(
    site: Site,
) -> None:
    paths = [f"f{number:03}" for number in range(700)]
    anna = site.desk.cache.device("anna")
    for path in paths:
        (site.library / path).write_text(path)
        anna.get(path)
    page = site.ask("GET", "/manifest", limit="50").told
    held, asked, more = {entry["path"] for entry in page["entries"]}, 1, page["more"]
    assert page["full"]
    assert more
    (site.library / "late").write_text("late")
    anna.get("late")
    evicted = set(site.desk.cache.device_caches.evict("anna", 40))
    assert evicted
    site.edit("f699", b"edited")
    stale = set()
    while more:
        page = site.ask("GET", "/manifest", limit="50", since=page["cursor"]).told
        held |= {entry["path"] for entry in page["entries"]}
        held -= set(page["gone"])
        stale |= {entry["path"] for entry in page["entries"] if entry["stale"]}
        more, asked = page["more"], asked + 1
        if page["full"] and not more:
            more = True  # and what changed meanwhile
    assert held == {*paths, "late"} - evicted
    assert stale == {"f699"}
    assert asked > 10


def test_a_cursor_of_which_too_much_was_forgotten_lists_all(site: Site) -> None:
    (site.library / "a").write_text("a")
    anna = site.desk.cache.device("anna")
    anna.get("a")
    old = site.ask("GET", "/manifest").told["cursor"]
    connection = site.desk.cache.stores.connection
    ledger = connection.layout.ledger("anna")
    for _ in range(2):
        site.desk.pinner.pin("anna", "a")
        site.desk.pinner.unpin("anna", "a")
    page = site.ask("GET", "/manifest", since=old).told
    assert (page["full"], [entry["path"] for entry in page["entries"]]) == (False, ["a"])
    connection.redis.hset(ledger, "forgotten", parse_cursor(old).position.number + 1)
    page = site.ask("GET", "/manifest", since=old).told
    assert (page["full"], page["more"]) == (True, False)
    assert not site.ask("GET", "/manifest", since=page["cursor"]).told["full"]


def test_a_whole_namespace_that_was_invalidated_makes_all_of_it_stale(site: Site) -> None:
    (site.library / "a").write_text("a")
    site.desk.cache.device("anna").get("a")
    cursor = site.ask("GET", "/manifest").told["cursor"]
    request = make_request(id="all", at=1.0, namespaces=["file"])
    site.desk.cache.stores.marks.mark([request], 1.0)
    page = site.ask("GET", "/manifest", since=cursor).told
    assert page["full"]
    assert [entry["stale"] for entry in page["entries"]] == [True]


def state_of(phone: Path) -> Any:
    """What the phone has written down."""
    return json.loads((phone / "phone.json").read_text())
