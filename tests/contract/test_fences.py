"""A node that stays silent is fenced: strict ends all the same, and keeps its word."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from cachekeeper import Cache
from cachekeeper.core.receipt import Receipt, Status
from cachekeeper.core.request import make_request
from cachekeeper.core.stamps import source_of_key
from cachekeeper.errors import CacheUnavailable
from cachekeeper.settings import Settings
from cachekeeper.store.redis.incarnation import seen_for
from tests.contract.conftest import OwnServer
from tests.support import but, wait_until
from workers.wiring import Wiring

SLACK_S = 0.5  # on a busy machine


@pytest.fixture
def given(here: Settings) -> Settings:
    """On the shared server, which this process has known for long."""
    return but(here, lease_s=0.4, ack_timeout_s=0.3, lease_drift_s=0.1)


@pytest.fixture
def wiring(given: Settings) -> Iterator[Wiring]:
    """The services of a worker, in this process, past the grace of the incarnation."""
    wiring = Wiring(given)
    incarnation = wiring.cache.stores.marks.now().incarnation
    wait_until(lambda: seen_for(incarnation) > outwait_of(given))
    yield wiring
    wiring.cache.close()


def outwait_of(settings: Settings) -> float:
    return settings.lease_s + settings.lease_drift_s


def strict(wiring: Wiring, *keys: str) -> tuple[Receipt, float]:
    """Its receipt, and how long it took."""
    fields = {"id": uuid.uuid4().hex, "at": time.time(), "keys": keys or ("page:a",)}
    began = time.monotonic()
    (receipt,) = wiring.invalidator.run([make_request(**fields, consistency="strict")])
    return receipt, time.monotonic() - began


def test_strict_outwaits_a_node_that_does_not_answer_and_names_it(
    wiring: Wiring, given: Settings
) -> None:
    nodes = wiring.cache.stores.nodes
    joined = nodes.join("absent")
    receipt, took = strict(wiring)
    assert (receipt.status, receipt.error) == (Status.DONE, "")
    assert receipt.nodes_asked == receipt.nodes_fenced == ["absent"]
    assert receipt.verified == ["disk", "redis", "memory"]
    least = given.ack_timeout_s + outwait_of(given)
    assert least <= took < least + SLACK_S
    # From then on it is nobody: it gets no lease, and nobody waits for it.
    assert not nodes.renew("absent", joined)
    receipt, took = strict(wiring)
    assert receipt.nodes_asked == receipt.nodes_fenced == []
    assert took < given.ack_timeout_s


def test_strict_outwaits_a_lease_that_is_longer_than_its_own(
    wiring: Wiring, given: Settings
) -> None:
    """A process with other settings serves from memory for as long as it was granted."""
    with Cache(but(given, lease_s=2.5)) as cache:
        pages = cache.namespace("page")
        pages.loader(str.encode)
        pages.get("a")
        memory, node = cache._memory, cache._node
        assert node is not None
        node._stop.set()  # it hears of nothing any more
        node._thread.join()
        began = time.monotonic()
        receipt, took = strict(wiring, "page:a")
        assert memory.hit("page:a") is None
        assert receipt.nodes_fenced == [node.id]
        assert given.ack_timeout_s + 2.5 <= took < given.ack_timeout_s + 2.6 + SLACK_S
        assert time.monotonic() - began >= 2.5

    # It is gone, and with it what was to be waited for.
    wiring.cache.stores.nodes.join("absent")
    _, took = strict(wiring)
    assert took < given.ack_timeout_s + outwait_of(given) + SLACK_S


def test_nodes_are_fenced_for_silence_by_the_longest_lease_there_is(
    wiring: Wiring, given: Settings
) -> None:
    """A node renews at a quarter of its lease: one with a long lease is rarely heard of."""
    with Cache(but(given, lease_s=100)) as cache:
        connection, node = cache.stores.connection, cache._node
        assert node is not None
        heard = time.time() - 50 * given.lease_s
        connection.redis.zadd(connection.layout.renewals, {node.id: heard})
        assert wiring.recovery.clean()["nodes_forgotten"] == 0


def test_eventual_waits_for_nobody_and_fences_nobody(wiring: Wiring, given: Settings) -> None:
    nodes = wiring.cache.stores.nodes
    joined = nodes.join("absent")
    began = time.monotonic()
    request = make_request(id=uuid.uuid4().hex, at=time.time(), keys=["page:a"])
    (receipt,) = wiring.invalidator.run([request])
    assert time.monotonic() - began < given.ack_timeout_s
    assert receipt.status is Status.DONE
    assert receipt.nodes_fenced == []
    assert "memory" not in receipt.verified
    assert nodes.renew("absent", joined)


def test_a_fenced_node_gets_no_lease_and_comes_back_empty_under_a_new_name(
    wiring: Wiring, given: Settings
) -> None:
    with Cache(given) as cache:
        pages = cache.namespace("page")
        pages.loader(lambda name: name.encode())
        pages.get("a")
        memory, node, nodes = cache._memory, cache._node, wiring.cache.stores.nodes
        assert node is not None
        assert len(memory) == 1
        before, joined = node.id, memory.applied

        assert nodes.fence(joined.epoch + 1) == [before]  # of what it can't have seen
        assert not nodes.renew(before, joined)
        wait_until(lambda: node.id != before)
        wait_until(lambda: memory.lease_until > 0)
        assert len(memory) == 0
        _, known = nodes.acknowledged()
        assert node.id in known
        assert nodes.renew(node.id, memory.applied)

        for _ in range(2):  # and then it serves as before
            assert pages.get("a") == b"a"
        stats = cache.stats()
        assert (stats["loader"], stats["redis"], stats["memory"]) == (1, 1, 1)


def test_a_node_that_follows_is_never_fenced(wiring: Wiring, given: Settings) -> None:
    with ExitStack() as stack:
        caches = [stack.enter_context(Cache(given)) for _ in range(4)]
        names = [cache._node.id for cache in caches if cache._node]
        for i in range(60):
            receipt, _ = strict(wiring, f"page:{i}")
            assert receipt.nodes_fenced == []
            assert sorted(receipt.nodes_asked) == sorted(names)
            assert receipt.verified == ["disk", "redis", "memory"]
        assert [cache._node.id for cache in caches if cache._node] == names


def test_a_node_that_leaves_while_it_is_waited_for_is_not_fenced(given: Settings) -> None:
    patient = Wiring(but(given, ack_timeout_s=10))
    nodes = patient.cache.stores.nodes
    nodes.join("leaving")
    try:
        with ThreadPoolExecutor(1) as threads:
            asked = threads.submit(strict, patient)
            wait_until(lambda: patient.cache.stores.marks.now().epoch)
            nodes.leave(["leaving"])
            receipt, took = asked.result()
        assert (receipt.status, receipt.nodes_fenced) == (Status.DONE, [])
        assert took < outwait_of(given) + SLACK_S
    finally:
        patient.cache.close()


def test_the_first_strict_of_an_incarnation_outwaits_leases_that_nobody_remembers(
    own_server: OwnServer, given: Settings
) -> None:
    """A node of the incarnation before may hold a lease, and the server not know of it."""
    given = but(given, cache_url=own_server.url, broker_url=own_server.url, lease_s=0.9)
    wiring = Wiring(given)
    try:
        own_server.restart()
        receipt, _ = strict(wiring)
        incarnation = wiring.cache.stores.marks.now().incarnation
        assert receipt.status is Status.DONE
        assert receipt.nodes_fenced == []
        assert seen_for(incarnation) >= outwait_of(given)
        _, took = strict(wiring)
        assert took < SLACK_S < outwait_of(given)
    finally:
        wiring.cache.close()


def test_the_first_strict_of_an_incarnation_outwaits_longer_leases_that_are_remembered(
    own_server: OwnServer, given: Settings
) -> None:
    given = but(given, cache_url=own_server.url, broker_url=own_server.url)
    wiring = Wiring(given)
    try:
        with Cache(but(given, lease_s=2.5)) as cache:
            node = cache._node
            assert node is not None
            before = node.id
            own_server.restart()
            wait_until(lambda: node.id != before)
            receipt, _ = strict(wiring)
            assert receipt.nodes_fenced == []
            assert seen_for(wiring.cache.stores.marks.now().incarnation) >= 2.5
    finally:
        wiring.cache.close()


def test_strict_does_not_rest_on_a_mark_that_a_restarted_server_may_have_lost(
    own_server: OwnServer, given: Settings
) -> None:
    """The request comes again, as from a queue, and is marked in the incarnation that there is."""
    given = but(given, cache_url=own_server.url, broker_url=own_server.url, ack_timeout_s=5)
    wiring = Wiring(given)
    marks = wiring.cache.stores.marks
    request = make_request(id="one", at=time.time(), keys=["page:a"], consistency="strict")
    try:
        wiring.cache.stores.nodes.join("absent")  # so that it waits
        first = marks.now()
        with ThreadPoolExecutor(1) as threads:
            asked = threads.submit(wiring.invalidator.run, [request])
            wait_until(lambda: marks.now().epoch > first.epoch)
            own_server.restart()
            with pytest.raises(CacheUnavailable):
                asked.result()
        wiring.cache.stores.nodes.leave(["absent"])
        (receipt,) = wiring.invalidator.run([request])
        now = marks.now()
        assert receipt.status is Status.DONE
        assert now.incarnation > first.incarnation
        assert receipt.epoch == now.epoch
        last = marks.last([source_of_key("page:a")])
        assert last is not None
        assert (last.epoch, last.request) == (now.epoch, "one")
        assert seen_for(now.incarnation) >= outwait_of(given)
    finally:
        wiring.cache.close()
