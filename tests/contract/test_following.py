"""A device that follows its manifest knows what is in it, whatever happens between two pages."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from cachekeeper.client.stores import open_stores
from cachekeeper.core.following import Cursor, Page, Position, Row, parse_cursor
from cachekeeper.core.request import make_request
from cachekeeper.core.retention import DAY_S
from cachekeeper.core.stamps import Entry, Stamp
from cachekeeper.errors import Busy, InvalidInput, QuotaExceeded
from cachekeeper.services.follow import Follower
from cachekeeper.services.pins import Pinner
from cachekeeper.settings import Settings
from tests.contract.test_device_ledger import DEVICE, Host

ROUNDS = 400


class Phone:
    """What a device makes of the pages; ``full`` counts the listings."""

    def __init__(self, host: Host) -> None:
        self._follower = Follower(host.stores.following)
        self.cursor: str | None = None
        self.held: dict[str, Row] = {}
        self.named: set[str] | None = None
        self.full = 0

    def page(self, limit: int) -> bool:
        """Take one page in; whether there is more."""
        page = self._follower.page(DEVICE, self.cursor, limit)
        self.cursor = str(page.cursor)
        assert parse_cursor(self.cursor) == page.cursor
        self._apply(page)
        return page.more or page.full  # after a listing comes what changed meanwhile

    def sync(self) -> None:
        """Until there is no more."""
        while self.page(1000):
            pass

    def _apply(self, page: Page) -> None:
        self.held |= {row.path: row for row in page.entries}
        for path in page.gone:
            self.held.pop(path, None)
        if page.full:
            if self.named is None:
                self.named, self.full = set(), self.full + 1
            self.named |= {row.path for row in page.entries}
            if not page.more:
                self.held = {path: row for path, row in self.held.items() if path in self.named}
                self.named = None


@pytest.fixture
def host(server_url: str, deployment: str, tmp_path: Path) -> Iterator[Host]:
    settings = Settings(state=tmp_path / "state", deployment=deployment)
    stores = open_stores(settings, server_url, lambda *_: True)
    yield Host(stores, tmp_path / "origin")
    stores.connection.close()


@pytest.fixture
def phone(host: Host) -> Phone:
    return Phone(host)


def knows_all(host: Host, phone: Phone) -> None:
    """The phone's picture is that of the site, down to what is stale and what is pinned."""
    manifest = host.stores.devices.manifest(DEVICE)
    assert phone.held == {path: host.stores.following.row(DEVICE, path) for path in manifest}


@pytest.mark.parametrize("seed", range(4))
def test_whatever_happens_between_two_pages(host: Host, phone: Phone, seed: int) -> None:
    rnd, pinner = random.Random(seed), pinner_of(host)
    for i in range(60):
        host.origin[f"f{i}"] = bytes([i]) * rnd.randrange(0, 600)
    for number in range(ROUNDS):
        path, chance = f"f{rnd.randrange(60)}", rnd.random()
        try:
            if chance < 0.45:
                host.caches.get(DEVICE, path)
            elif chance < 0.55:
                host.caches.evict(DEVICE, rnd.randrange(2000))
            elif chance < 0.65:
                host.edit(path, host.origin[path])
            elif chance < 0.70:
                pinner.pin(DEVICE, path)
            elif chance < 0.75:
                pinner.unpin(DEVICE, path)
            elif chance < 0.76:
                mark(host, number, namespaces=["file"])
            elif chance < 0.78:
                host.ahead_s += DAY_S
                host.caches.expire(DEVICE)
            else:
                phone.page(rnd.choice([1, 3, 1000]))
        except (Busy, QuotaExceeded):
            pass
    phone.sync()
    knows_all(host, phone)
    listings = phone.full
    phone.sync()
    assert phone.full == listings


def test_changes_cost_as_much_as_there_are(host: Host, phone: Phone) -> None:
    for i in range(100):
        host.origin[f"f{i}"] = b"x"
        host.caches.get(DEVICE, f"f{i}")
    phone.sync()
    host.edit("f7", b"y")
    page = Follower(host.stores.following).page(DEVICE, phone.cursor)
    assert (page.full, [row.path for row in page.entries], page.gone) == (False, ["f7"], [])
    assert page.entries[0].stale


def test_marks_of_other_namespaces_concern_nobody(host: Host, phone: Phone) -> None:
    host.origin["a"] = b"a"
    host.caches.get(DEVICE, "a")
    phone.sync()
    mark(host, 1, keys=["page:a"], tags=["a"], namespaces=["page"])
    page = Follower(host.stores.following).page(DEVICE, phone.cursor)
    assert (page.full, page.entries) == (False, [])


def test_marks_of_what_a_file_was_made_from_are_seen(host: Host, phone: Phone) -> None:
    """Files are as a rule made from nothing; where one is, any mark may concern it."""
    load = host.load

    def made(path: str) -> Entry:
        return load(path)._replace(stamp=Stamp(host.stores.marks.now(), ("t:album",)))

    host.origin["made"] = b"made"
    host.source._load = made
    host.caches.get(DEVICE, "made")
    phone.sync()
    assert not phone.held["made"].stale
    mark(host, 1, tags=["album"])
    phone.sync()
    assert phone.held["made"].stale


def test_nothing_is_noted_for_a_device_that_nobody_follows(host: Host) -> None:
    host.origin["a"] = b"a"
    host.caches.get(DEVICE, "a")
    connection = host.stores.connection
    assert not connection.redis.exists(connection.layout.changes(DEVICE))


def test_what_is_noted_is_bounded(host: Host, phone: Phone) -> None:
    """One number a path, and of the paths that came and went the last 10,000."""
    host.origin["a"] = b"a"
    host.caches.get(DEVICE, "a")
    phone.sync()
    layout, server = host.stores.connection.layout, host.stores.connection.redis
    for _ in range(5):
        host.edit("a", b"a")
        host.caches.get(DEVICE, "a")
    assert server.zcard(layout.changes(DEVICE)) == 1
    last = int(server.hget(layout.ledger(DEVICE), "changes"))
    server.zadd(layout.changes(DEVICE), {f"gone{i}": last - 10_000 + i for i in range(9_999)})
    host.origin["b"] = b"b"
    host.caches.get(DEVICE, "b")
    assert server.zcard(layout.changes(DEVICE)) == 10_000
    listings = phone.full
    phone.sync()
    assert phone.full == listings  # its cursor is younger than what was dropped
    knows_all(host, phone)


def test_a_cursor_of_another_history_begins_anew(host: Host, phone: Phone) -> None:
    host.origin["a"] = b"a"
    host.caches.get(DEVICE, "a")
    phone.sync()
    at = parse_cursor(phone.cursor or "").position
    for other in (
        Position(at.number, at.incarnation + 1, at.epoch),
        Position(at.number + 1, at.incarnation, at.epoch),
        Position(at.number, at.incarnation, at.epoch + 1),
    ):
        assert Follower(host.stores.following).page(DEVICE, str(Cursor(other))).full


def test_a_device_whose_token_was_taken_begins_anew(host: Host, phone: Phone) -> None:
    host.origin["a"] = b"a"
    host.caches.get(DEVICE, "a")
    phone.sync()
    host.stores.tokens.take(DEVICE)
    host.caches.evict(DEVICE, 1)
    phone.sync()
    assert (phone.held, phone.full) == ({}, 2)


@pytest.mark.parametrize("limit", [0, -1, 1001])
def test_a_page_has_a_size(host: Host, limit: int) -> None:
    with pytest.raises(InvalidInput, match="limit"):
        Follower(host.stores.following).page(DEVICE, None, limit)


def pinner_of(host: Host) -> Pinner:
    return Pinner(
        pins=host.stores.pins, caches=host.caches, limits=lambda _: host.limits, now=host.now
    )


def mark(host: Host, number: int, **what: list[str]) -> None:
    """Invalidate something else than one file."""
    now = host.now()
    request = make_request(id=f"{number}-{now}", at=now, **what)
    host.stores.marks.mark([request], now)
