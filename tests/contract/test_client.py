"""What a client promises when the server, the broker or a node is not there."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cachekeeper import Cache, CachekeeperError
from cachekeeper.client.node import Node
from cachekeeper.client.stores import Stores, open_stores
from cachekeeper.core.request import make_request
from cachekeeper.core.stamps import Entry, Found, Stamp
from cachekeeper.core.strategy import Strategy
from cachekeeper.errors import BrokerUnavailable, CacheUnavailable, InvalidInput
from cachekeeper.local.server import EmbeddedServer
from cachekeeper.settings import Settings
from cachekeeper.store.memory import MemoryTier
from cachekeeper.store.redis.incarnation import lease_clock
from tests.support import but, unused_port, wait_until
from workers.wiring import Wiring

NOBODY = "redis://127.0.0.1:1/0"  # a port that nothing listens on
BOUNDED_S = 9.0


@pytest.fixture
def given(here: Settings) -> Settings:
    return but(here, memory_bytes=0, lease_s=0.4, lease_drift_s=0.0)


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[EmbeddedServer]:
    """A server that the test may stop."""
    with EmbeddedServer(tmp_path / "server", port=unused_port()) as server:
        yield server


def opened(settings: Settings) -> Stores:
    return open_stores(settings, str(settings.cache_url), lambda *_: True)


def nodes(settings: Settings) -> dict[str, int]:
    stores = opened(settings)
    try:
        return stores.nodes.acknowledged()[1]
    finally:
        stores.connection.close()


def test_a_cache_that_can_not_be_opened_leaves_no_node_behind(
    given: Settings, tmp_path: Path
) -> None:
    """One that stays would be waited for by every strict invalidation, or answer for nobody."""
    running = threading.active_count()
    with pytest.raises(CachekeeperError, match="origin"):
        Cache(but(given, origin=tmp_path / "nowhere", memory_bytes=1000))
    assert threading.active_count() == running
    assert nodes(given) == {}


def test_a_client_leaves_when_it_is_closed_and_may_be_closed_twice(given: Settings) -> None:
    cache = Cache(but(given, memory_bytes=1000))
    assert len(nodes(given)) == 1
    cache.close()
    cache.close()
    assert nodes(given) == {}


@pytest.mark.parametrize("strategy", ["immediate", "lazy"])
def test_without_a_broker_an_invalidation_that_needs_it_fails_and_its_receipt_says_so(
    given: Settings, strategy: str
) -> None:
    with Cache(but(given, broker_url=NOBODY)) as cache:
        with pytest.raises(BrokerUnavailable):
            cache.invalidate("file:a", strategy=strategy)
        (receipt,) = cache.stores.receipts.recent(5)
        assert (receipt.status, receipt.ended) == ("failed", True)
        assert cache.stores.marks.now().epoch == 0


def test_without_a_broker_a_request_that_waits_for_beat_is_accepted_full_batch_or_not(
    given: Settings,
) -> None:
    """The message is only the bell: an error would say that nothing was asked for."""
    with Cache(but(given, broker_url=NOBODY, scheduled_batch=2)) as cache:
        asked = [cache.invalidate(f"file:{i}", strategy="scheduled") for i in range(3)]
        assert [handle.read().status for handle in asked] == ["pending"] * 3
        assert cache.stores.pending.waiting(Strategy.SCHEDULED) == 3


@pytest.mark.parametrize("keys", [5, None, [None], [b"file:a"], {"file:a": 1, 3: 1}])
def test_keys_that_are_no_texts_are_an_error_of_ours(given: Settings, keys: object) -> None:
    with Cache(given) as cache, pytest.raises(InvalidInput, match=r"^keys"):
        cache.invalidate(keys)  # type: ignore[arg-type]  # as a caller without a type checker


@pytest.mark.parametrize("lifetime", ["60", 59, 86401, float("nan"), float("inf"), [60]])
def test_a_lifetime_that_is_not_allowed_is_an_error_of_ours(
    given: Settings, lifetime: object
) -> None:
    with Cache(given) as cache, pytest.raises(InvalidInput, match=r"^ttl_s.*60 to 86400"):
        cache.namespace("page", ttl_s=lifetime)  # type: ignore[arg-type]  # as above


def test_without_a_server_the_loader_answers_and_nothing_is_invalidated(
    given: Settings, own_server: EmbeddedServer
) -> None:
    url = own_server.url
    with Cache(but(given, cache_url=url, broker_url=url)) as cache:
        pages = cache.namespace("page")
        pages.loader(lambda name: name.encode())
        own_server.stop()
        assert pages.get("a") == b"a"
        assert cache.stats()["bypass"] == 1
        for strategy in Strategy:
            with pytest.raises((CacheUnavailable, BrokerUnavailable)):
                cache.invalidate("page:a", strategy=strategy)


def test_a_server_that_hangs_holds_a_reader_for_a_few_seconds_at_most(
    given: Settings, own_server: EmbeddedServer
) -> None:
    url = own_server.url
    with Cache(but(given, cache_url=url, broker_url=url)) as cache:
        pages = cache.namespace("page")
        pages.loader(lambda name: name.encode())
        pages.get("a")
        os.kill(own_server.pid, signal.SIGSTOP)
        try:
            began = time.monotonic()
            assert pages.get("a") == b"a"
            assert time.monotonic() - began < BOUNDED_S
        finally:
            os.kill(own_server.pid, signal.SIGCONT)


def test_a_server_that_dies_while_a_value_is_made_costs_no_second_making(
    given: Settings, own_server: EmbeddedServer
) -> None:
    """A loader may be slow, and what it made can still be given to the reader."""
    url, made = own_server.url, []
    with Cache(but(given, cache_url=url, broker_url=url)) as cache:
        pages = cache.namespace("page")

        @pages.loader
        def page(name: str) -> bytes:
            made.append(name)
            own_server.stop()
            return name.encode()

        assert pages.get("a") == b"a"
        assert made == ["a"]


def test_many_readers_of_one_key_wait_for_one_loader(given: Settings) -> None:
    with Cache(given) as cache, ThreadPoolExecutor(8) as threads:
        made: list[str] = []
        go_on = threading.Event()
        pages = cache.namespace("page")

        @pages.loader
        def page(name: str) -> bytes:
            made.append(name)
            go_on.wait(5)
            return name.encode()

        reading = [threads.submit(pages.get, "a") for _ in range(8)]
        go_on.set()
        assert {done.result() for done in reading} == {b"a"}
        assert made == ["a"]


def test_a_value_that_was_invalidated_while_it_was_made_is_not_kept(given: Settings) -> None:
    """Even if nothing that its loader read went through the cache."""
    wiring = Wiring(given)
    with Cache(given) as cache:
        made: list[bytes] = []
        pages = cache.namespace("page")

        @pages.loader
        def page(name: str) -> bytes:
            made.append(b"%s %d" % (name.encode(), len(made)))
            if len(made) == 1:
                fields = {"id": "meanwhile", "at": time.time(), "keys": ["page:a"]}
                wiring.invalidator.run([make_request(**fields)])
            return made[-1]

        assert pages.get("a") == b"a 0"
        assert pages.get("a") == b"a 1"
        assert pages.get("a") == b"a 1"
    wiring.cache.close()


def test_what_was_read_while_the_server_was_away_is_stored_nowhere(
    given: Settings, own_server: EmbeddedServer, tmp_path: Path
) -> None:
    """Nor what is made from it, after the server has come back in between."""
    url = own_server.url
    with Cache(but(given, cache_url=url, broker_url=url)) as cache:
        inputs, pages = cache.namespace("input"), cache.namespace("page")
        inputs.loader(lambda name: name.encode())
        port = int(url.rpartition(":")[2].partition("/")[0])
        again = EmbeddedServer(tmp_path / "server", port=port)

        @pages.loader
        def page(name: str) -> bytes:
            own_server.stop()
            found: bytes = inputs.get(name)  # outside the rule
            again.start()
            return b"page of " + found

        try:
            assert pages.get("a") == b"page of a"
            assert cache.stores.redis.read("page:a") is None
            assert cache.stores.disk.read("page:a") is None
        finally:
            again.stop()


def test_a_node_with_a_long_lease_keeps_it(given: Settings) -> None:
    """It asks for the log and waits for an answer: not longer than a socket does."""
    given = but(given, lease_s=20)
    stores = opened(given)
    memory = MemoryTier(10_000, lease_clock)
    node = Node(stores.nodes, memory, given.lease_s)
    first = memory.lease_until
    try:
        wait_until(lambda: memory.lease_until > first, seconds=6)
    finally:
        node.close()
        stores.connection.close()


def test_strict_outwaits_a_node_that_another_invalidation_gave_up_on(given: Settings) -> None:
    """A node asks for the log, extends its lease, and is stopped before it can acknowledge.

    The invalidation that waits for it fences it after a while; the next one must not take
    "fenced" for "has left", while the lease that the node was granted before still runs.
    """
    given = but(given, lease_s=1.0, ack_timeout_s=0.2)  # long enough for a busy machine
    wiring = Wiring(given)
    stores = wiring.cache.stores
    memory = MemoryTier(10_000, lease_clock)
    try:
        joined = stores.nodes.join("slow-node")
        memory.open(joined)
        for name in ("x:old", "x:other"):
            now = time.time()
            found = Found(Entry(b"old", Stamp(joined), now, now + 60), joined)
            assert memory.fill(name, found) == found

        fenced: list[list[str]] = []

        def strict(name: str) -> None:
            asked = make_request(id=name, at=time.time(), keys=[name], consistency="strict")
            (receipt,) = wiring.invalidator.run([asked])
            assert receipt.status == "done"
            fenced.append(receipt.nodes_fenced)

        with ThreadPoolExecutor(2) as threads:
            first = threads.submit(strict, "x:other")
            # Renews when most of the first one's wait for it is over, and is stopped there.
            threading.Event().wait(0.8 * given.ack_timeout_s)
            asked = lease_clock()
            assert stores.nodes.renew("slow-node", joined)
            memory.lease_until = asked + given.lease_s
            # By now it is fenced, and its lease runs on.
            wait_until(lambda: stores.nodes.renew("slow-node", joined) is False)
            assert memory.read("x:old") is not None
            second = threads.submit(strict, "x:old")
            second.result()
            assert memory.read("x:old") is None
            first.result()
        assert fenced == [["slow-node"], ["slow-node"]]
        assert nodes(given) == {}
    finally:
        wiring.cache.close()


def test_a_node_whose_clock_is_wrong_is_a_node_all_the_same(
    given: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Strict rests on leases counted by each on its own clock, never on the time of day."""
    wiring = Wiring(given)
    try:
        with monkeypatch.context() as an_hour_behind:
            real = time.time
            an_hour_behind.setattr(time, "time", lambda: real() - 3600)
            nodes_known = wiring.cache.stores.nodes
            joined = nodes_known.join("an-hour-behind")
            assert nodes_known.renew("an-hour-behind", joined)
        assert wiring.recovery.clean()["nodes_forgotten"] == 0
        assert nodes(given) == {"an-hour-behind": joined.epoch}
        assert nodes_known.renew("an-hour-behind", joined)
    finally:
        wiring.cache.close()
