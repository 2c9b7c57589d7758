"""A server that came back without all it knew: nothing older is trusted, by nobody."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from cachekeeper import Cache
from cachekeeper.client.namespace import Namespace
from cachekeeper.core.stamps import Moment
from cachekeeper.settings import Settings
from cachekeeper.store.redis.connection import Connection
from cachekeeper.store.redis.marks import RedisMarks
from cachekeeper.store.redis.nodes import RedisNodes
from tests.contract.conftest import OwnServer, marked
from tests.support import but, wait_until

BACK_S = 5.0


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """An origin with one file."""
    folder = tmp_path / "library"
    folder.mkdir()
    (folder / "a.txt").write_text("old")
    return folder


def pages_of(cache: Cache, version: list[bytes]) -> Namespace:
    """Values that are kept in every tier, and made from others that are."""
    parts, pages = (cache.namespace(name, on_disk=True) for name in ("part", "page"))
    parts.loader(lambda _: version[0])
    pages.loader(lambda name: b"page of " + parts.get(name))
    return pages


def held(cache: Cache, *keys: str) -> set[tuple[str, str]]:
    """(tier, key) of every entry that a read would return."""
    return {(name, key) for name, tier in cache.tiers.items() for key in keys if tier.read(key)}


def arrived(cache: Cache) -> None:
    """The node of a client follows the server that runs now."""
    memory = cache._memory
    wait_until(lambda: memory.applied.incarnation == incarnation_of(cache), BACK_S)


def incarnation_of(cache: Cache) -> int:
    """Of the server that runs now."""
    with closing(Connection(cache.stores.connection.url, cache.settings.deployment)) as connection:
        return RedisMarks(connection, 1).now().incarnation


def connect(connection: Connection) -> Moment:
    """Open a socket of its own, and look at the clock."""
    connection.redis.connection_pool.disconnect()
    return RedisMarks(connection, 60).now()


def test_after_a_restart_no_older_value_is_reachable_memory_included(
    own_server: OwnServer, given: Settings
) -> None:
    """It had appended all it knew; but it can't be told from one that has not."""
    version = [b"old"]
    with Cache(given) as cache:
        pages = pages_of(cache, version)
        pages.get("a")
        keys = ("page:a", "part:a")
        assert held(cache, *keys) == {(tier, key) for tier in cache.tiers for key in keys}

        own_server.restart()
        arrived(cache)
        assert held(cache, *keys) == set()
        version[0] = b"new"
        assert pages.get("a") == b"page of new"
        assert held(cache, *keys) == {(tier, key) for tier in cache.tiers for key in keys}


def test_after_a_restart_the_files_of_devices_are_suspect(
    own_server: OwnServer, given: Settings, library: Path
) -> None:
    with Cache(but(given, origin=library)) as cache:
        phone = cache.device("phone")
        phone.get("a.txt")
        assert phone.get("a.txt").hit

        own_server.restart()
        (library / "a.txt").write_text("new")
        arrived(cache)
        read = phone.get("a.txt")
        assert (read.body, read.hit) == (b"new", False)
        assert phone.get("a.txt").hit  # and then it is held as before


@pytest.mark.parametrize("survivor", [True, False], ids=["who was there", "who comes later"])
def test_a_server_that_was_set_back_serves_nothing_of_before(
    own_server: OwnServer, given: Settings, library: Path, tmp_path: Path, survivor: bool
) -> None:
    """The danger of a copy: the value in it is valid by all that the copy knows."""
    given = but(given, origin=library)
    version = [b"old"]
    with Cache(given) as cache:
        pages, phone = pages_of(cache, version), cache.device("phone")
        pages.get("a")
        phone.get("a.txt")
        own_server.back_up(copy := tmp_path / "copy")
        arrived(cache)
        version[0] = b"new"
        (library / "a.txt").write_text("new")
        last = marked(cache.stores.marks, "part:a", "file:a.txt")  # the copy does not know of it
        assert pages.get("a") == b"page of new"

        own_server.restore(copy)
        if survivor:
            arrived(cache)
            assert held(cache, "page:a", "part:a") == set()
            assert pages.get("a") == b"page of new"
            assert phone.get("a.txt").body == b"new"
            assert cache.stores.marks.now() > last
    if not survivor:
        with Cache(given) as other:
            assert held(other, "page:a", "part:a") == set()
            assert pages_of(other, version).get("a") == b"page of new"
            assert other.device("phone").get("a.txt").body == b"new"


def test_whoever_has_seen_a_later_epoch_than_the_servers_begins_an_incarnation(
    server_url: str, deployment: str
) -> None:
    """It has lost something, although it is the same process."""
    with (
        closing(Connection(server_url, deployment)) as ours,
        closing(Connection(server_url, deployment)) as other,
    ):
        marks = RedisMarks(ours, 60)
        first = marks.now()
        *_, last = [marked(marks, "page:a") for _ in range(5)]
        assert (last.incarnation, last.epoch) == (first.incarnation, first.epoch + 5)
        ours.redis.hset(ours.layout.clock, "epoch", first.epoch + 2)

        assert connect(other).incarnation == first.incarnation  # it can't know
        now = connect(ours)
        assert now.incarnation > first.incarnation
        assert now.epoch > last.epoch
        assert connect(other) == connect(ours) == now  # and no second one


def test_whoever_has_seen_no_more_than_the_server_begins_nothing(
    server_url: str, deployment: str
) -> None:
    with closing(Connection(server_url, deployment)) as ours:
        marks = RedisMarks(ours, 60)
        last = marked(marks, "page:a")
        assert [connect(ours) for _ in range(3)] == [last] * 3


def test_clients_that_meet_a_server_at_once_begin_one_incarnation(
    own_server: OwnServer, given: Settings
) -> None:
    clients = [Connection(own_server.url, given.deployment) for _ in range(12)]
    with ThreadPoolExecutor(len(clients)) as threads:
        for _ in range(3):
            before = {client.incarnations.seen for client in clients}
            moments = set(threads.map(connect, clients))
            assert len(moments) == 1
            assert max(before) < moments.pop()
            own_server.restart()
    for client in clients:
        client.close()


def test_the_moment_of_a_client_never_goes_back(
    own_server: OwnServer, given: Settings, tmp_path: Path
) -> None:
    """Not even when another one, which has seen less, met the restored server first."""
    ours = Connection(own_server.url, given.deployment)
    marks = RedisMarks(ours, 60)
    moments = [marks.now()]
    own_server.back_up(tmp_path / "copy")
    for _ in range(2):
        moments += [marked(marks, "page:a") for _ in range(3)]
        own_server.restart()
        moments.append(marks.now())
    own_server.restore(tmp_path / "copy")
    with closing(Connection(own_server.url, given.deployment)) as newcomer:
        RedisMarks(newcomer, 60).now()
    moments += [marks.now(), marked(marks, "page:a"), connect(ours)]
    assert moments == sorted(moments)
    assert ours.incarnations.seen == moments[-1]
    ours.close()


def test_a_node_of_an_ended_incarnation_gets_no_lease(
    own_server: OwnServer, given: Settings
) -> None:
    """However much it has acknowledged there; it has to join again."""
    with closing(Connection(own_server.url, given.deployment)) as connection:
        nodes = RedisNodes(connection, 0.5)
        joined = nodes.join("node")
        assert nodes.renew("node", joined)
        own_server.restart()
        assert not nodes.renew("node", joined)
        assert nodes.join("another").incarnation > joined.incarnation


def test_a_server_that_was_flushed_has_lost_what_it_knew_too(given: Settings) -> None:
    """An operator may; the sockets stay open, and nobody looks at the clock again."""
    with Cache(but(given, memory_bytes=0)) as cache:
        marks, connection = cache.stores.marks, cache.stores.connection
        before = marked(marks, "page:a")
        connection.redis.flushall()
        assert marked(marks, "page:a") > before
