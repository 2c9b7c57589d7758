"""Waiting for nodes: the last one to acknowledge rings, and what it says stays true."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from cachekeeper import Cache
from cachekeeper.core.stamps import Moment
from cachekeeper.settings import Settings
from cachekeeper.store.redis.connection import Connection
from cachekeeper.store.redis.marks import RedisMarks
from cachekeeper.store.redis.nodes import RedisNodes
from tests.contract.conftest import marked
from tests.support import wait_until

LONG_S = 1.5  # less than a socket waits
SOON_S = 1.0


@pytest.fixture
def nodes(connection: Connection) -> RedisNodes:
    return RedisNodes(connection, 0.5)


@pytest.fixture
def marks(connection: Connection) -> RedisMarks:
    return RedisMarks(connection, 60)


def waiting(connection: Connection) -> int:
    found: int = connection.redis.zcard(connection.layout.waiting)
    return found


def test_nobody_is_waited_for_where_no_node_is(nodes: RedisNodes, marks: RedisMarks) -> None:
    moment = marked(marks, "page:a")
    assert nodes.wait(moment.epoch, LONG_S) == (moment.incarnation, {})


def test_the_last_node_ends_the_wait(
    connection: Connection, nodes: RedisNodes, marks: RedisMarks
) -> None:
    for name in ("a", "b"):
        nodes.join(name)
    moment = marked(marks, "page:a")
    with ThreadPoolExecutor(1) as threads:
        began = time.monotonic()
        asked = threads.submit(nodes.wait, moment.epoch, LONG_S)
        wait_until(lambda: waiting(connection))
        assert nodes.renew("a", moment)
        assert waiting(connection), "one is missing"
        assert nodes.renew("b", moment)
        acks = {"a": moment.epoch, "b": moment.epoch}
        assert asked.result() == (moment.incarnation, acks)
        assert time.monotonic() - began < SOON_S
    assert not waiting(connection)
    # And nobody is waited for who has come as far.
    assert nodes.wait(moment.epoch, LONG_S) == (moment.incarnation, acks)
    assert time.monotonic() - began < SOON_S


def test_who_is_silent_is_told_after_a_while(nodes: RedisNodes, marks: RedisMarks) -> None:
    joined = nodes.join("silent")
    moment = marked(marks, "page:a")
    assert nodes.wait(moment.epoch, 0.01) == (moment.incarnation, {"silent": joined.epoch})
    assert nodes.renew("silent", joined), "which is no acknowledgement of the mark"
    assert nodes.wait(moment.epoch, 0.01) == (moment.incarnation, {"silent": joined.epoch})


def test_a_node_that_comes_far_at_once_rings_all_who_wait(
    connection: Connection, marks: RedisMarks
) -> None:
    workers = [RedisNodes(connection, 0.5) for _ in range(4)]
    workers[0].join("behind")
    moments = [marked(marks, "page:a") for _ in workers]
    with ThreadPoolExecutor(len(workers)) as threads:
        asked = [
            threads.submit(worker.wait, moment.epoch, LONG_S)
            for worker, moment in zip(workers, moments, strict=True)
        ]
        wait_until(lambda: waiting(connection) == len(workers))
        assert workers[0].renew("behind", moments[2])
        for done in asked[:3]:
            assert done.result() == (moments[2].incarnation, {"behind": moments[2].epoch})
        assert waiting(connection) == 1
        assert workers[0].renew("behind", moments[3])
        asked[3].result()


def test_what_a_bell_said_before_is_not_taken_for_what_is_so_now(
    connection: Connection, nodes: RedisNodes, marks: RedisMarks
) -> None:
    nodes.join("node")
    moment = marked(marks, "page:a")
    nodes.wait(moment.epoch, 0.01)
    assert nodes.renew("node", moment)  # rings, and nobody is there any more
    assert not waiting(connection)
    clock = connection.layout.clock
    connection.redis.hset(clock, "incarnation", moment.incarnation + 1)
    assert nodes.wait(moment.epoch, LONG_S)[0] == moment.incarnation + 1


def test_nodes_and_waiters_go_on_when_the_server_forgets_its_scripts(
    connection: Connection, marks: RedisMarks, server_url: str, given: Settings
) -> None:
    settings = given.model_copy(
        update={
            "cache_url": server_url,
            "broker_url": server_url,
            "deployment": connection.layout.prefix[1:-2],
            "lease_s": 2.0,
        }
    )
    with Cache(settings) as cache:
        assert cache._node is not None
        before = cache._node.id
        for _ in range(3):
            connection.redis.script_flush()
            moment = marked(marks, "page:a")
            began = time.monotonic()
            wait_until(lambda moment=moment: acknowledged(cache, moment))  # type: ignore[misc]
            assert time.monotonic() - began < SOON_S
        assert cache._node.id == before


def acknowledged(cache: Cache, moment: Moment) -> bool:
    """Whether every node has seen a mark, as a worker finds out."""
    _, acks = cache.stores.nodes.wait(moment.epoch, LONG_S)
    return all(ack >= moment.epoch for ack in acks.values())
