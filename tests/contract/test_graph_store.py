"""The shared graph, and the snapshot of it that each worker keeps (DESIGN 3, G)."""

from __future__ import annotations

import random
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from cachekeeper.services.purge import Purger
from cachekeeper.services.snapshot import GraphSnapshot
from cachekeeper.store.redis.connection import Connection
from cachekeeper.store.redis.graph import RedisGraph

RACE_S = 2.0  # ends at the first error


@pytest.fixture
def graph(server_url: str, deployment: str) -> Iterator[RedisGraph]:
    connection = Connection(server_url, deployment)
    yield RedisGraph(connection)
    connection.close()


def test_a_key_is_known_from_both_ends(graph: RedisGraph) -> None:
    assert graph.link("thumb:a", ["file:a", "config:thumbs"]) == 2
    assert graph.inputs("thumb:a") == ["config:thumbs", "file:a"]
    assert graph.dependents("file:a") == ["thumb:a"]
    assert graph.nodes() == ["config:thumbs", "file:a", "thumb:a"]


def test_a_new_fill_replaces_what_the_old_one_was_made_from(graph: RedisGraph) -> None:
    graph.link("album:x", ["thumb:a", "thumb:b"])
    assert graph.link("album:x", ["thumb:b", "thumb:c"]) == 2
    assert graph.link("album:x", ["thumb:c", "thumb:b"]) == 0
    assert graph.dependents("thumb:a") == []
    assert sorted(graph.edges()) == [("thumb:b", "album:x"), ("thumb:c", "album:x")]


@pytest.mark.parametrize("rest", ["a b", "a*b", "[x]", "é", "a:b", "out:", "x" * 400])
def test_any_key_may_stand_in_the_graph(graph: RedisGraph, rest: str) -> None:
    graph.link(f"v:{rest}", [f"u:{rest}"])
    assert list(graph.edges()) == [(f"u:{rest}", f"v:{rest}")]


def test_a_key_that_something_was_made_from_is_not_pruned(graph: RedisGraph) -> None:
    graph.link("thumb:a", ["file:a"])
    assert not graph.prune("file:a")
    assert graph.prune("thumb:a")
    assert graph.prune("file:a")
    assert graph.nodes() == []


def test_a_value_may_have_thousands_of_inputs(graph: RedisGraph) -> None:
    inputs = [f"photo:{i:05}" for i in range(10_000)]
    assert graph.link("album:all", inputs) == len(inputs)
    assert graph.inputs("album:all") == inputs


def test_a_snapshot_follows_every_change(graph: RedisGraph) -> None:
    """Two snapshots, one that follows step by step and one that loads at the end."""
    rnd, follower = random.Random(5), GraphSnapshot(graph)
    names = [f"n:{i}" for i in range(12)]
    for _ in range(120):
        if rnd.random() < 0.2:
            graph.prune(rnd.choice(names))
        else:
            graph.link(rnd.choice(names), rnd.sample(names, rnd.randrange(4)))
        if rnd.random() < 0.5:
            assert edges(follower) == set(graph.edges())
    assert edges(follower) == edges(GraphSnapshot(graph))


def test_a_snapshot_whose_log_was_cut_off_loads_anew(
    graph: RedisGraph, server_url: str, deployment: str
) -> None:
    snapshot = GraphSnapshot(graph)
    graph.link("v:1", ["u:1"])
    assert edges(snapshot) == {("u:1", "v:1")}
    graph.link("v:1", ["u:2"])
    connection = Connection(server_url, deployment)
    connection.redis.xtrim(connection.layout.graph_log, maxlen=0, approximate=False)
    connection.close()
    graph.link("v:2", ["u:2"])
    assert edges(snapshot) == {("u:2", "v:1"), ("u:2", "v:2")}


def test_a_snapshot_may_be_asked_while_another_thread_brings_it_up_to_date(
    graph: RedisGraph,
) -> None:
    """Workers may run threads; the snapshot has a lock, so it means to bear them."""
    names = [f"n:{i}" for i in range(300)]
    graph.link("n:0", names[1:200])
    purger = Purger(GraphSnapshot(graph), [], 5)
    end, over = time.monotonic() + RACE_S, threading.Event()

    def until_over(step: Callable[[], object]) -> None:
        try:
            while time.monotonic() < end and not over.is_set():
                step()
        except BaseException:
            over.set()
            raise

    rnd = random.Random(1)
    steps: list[Callable[[], object]] = [lambda: purger.reach(names) for _ in range(3)]
    steps.append(lambda: graph.link(rnd.choice(names), rnd.sample(names, 20)))
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)  # threads take turns in the middle of everything
    try:
        with ThreadPoolExecutor(len(steps)) as threads:
            running = [threads.submit(until_over, step) for step in steps]
    finally:
        sys.setswitchinterval(interval)
    for work in running:
        work.result()


def edges(snapshot: GraphSnapshot) -> set[tuple[str, str]]:
    """What a snapshot holds when it is up to date."""
    with snapshot.current() as graph:
        return set(graph.edges)
