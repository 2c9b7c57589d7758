"""The shared graph, and the snapshot of it that each worker keeps (DESIGN 3, G)."""

from __future__ import annotations

import random
import resource
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cachekeeper.core.request import make_request
from cachekeeper.services.purge import Limits, Purger
from cachekeeper.services.snapshot import GraphSnapshot
from cachekeeper.store.graph_files import GraphFiles
from cachekeeper.store.redis.connection import Connection
from cachekeeper.store.redis.graph import RedisGraph

RACE_S = 2.0  # ends at the first error


@pytest.fixture
def graph(connection: Connection) -> RedisGraph:
    return RedisGraph(connection)


class Host:
    """A machine whose processes share files."""

    def __init__(self, graph: RedisGraph, folder: Path) -> None:
        self._graph, self.folder = graph, folder
        folder.mkdir(exist_ok=True)

    def process(self) -> GraphSnapshot:
        """Another process of it."""
        return GraphSnapshot(self._graph, GraphFiles(self.folder, "test"), time.time)


@pytest.fixture
def host(graph: RedisGraph, tmp_path: Path) -> Host:
    return Host(graph, tmp_path / "one")


def test_a_key_is_known_from_both_ends(graph: RedisGraph) -> None:
    assert graph.link("thumb:a", ["file:a", "config:thumbs"]) == 2
    assert graph.inputs("thumb:a") == ["config:thumbs", "file:a"]
    assert graph.dependents("file:a") == ["thumb:a"]
    assert sorted(graph.nodes()) == ["config:thumbs", "file:a", "thumb:a"]


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
    assert graph.prune(["file:a"]) == []
    assert graph.prune(["file:a", "thumb:a", "unknown:a"]) == ["thumb:a"]
    assert list(graph.nodes()) == [], "a key without an edge is no part of the graph"


def test_a_value_may_have_thousands_of_inputs(graph: RedisGraph) -> None:
    inputs = [f"photo:{i:05}" for i in range(10_000)]
    assert graph.link("album:all", inputs) == len(inputs)
    assert graph.inputs("album:all") == inputs


def test_more_may_be_said_without_taking_back_what_was_said(graph: RedisGraph) -> None:
    graph.link("album:x", ["thumb:a"])
    assert graph.link("album:x", ["thumb:b", "thumb:a"], more=True) == 1
    assert graph.inputs("album:x") == ["thumb:a", "thumb:b"]


def test_what_was_made_from_the_old_value_stays_linked_to_what_that_was_made_from(
    graph: RedisGraph,
) -> None:
    """A page was made from an album that held a photo; the album was made anew without it."""
    graph.link("album:x", ["photo:a", "photo:b"])
    graph.link("page:x", ["album:x"])
    graph.link("album:x", ["photo:b"])
    assert graph.dependents("photo:a") == ["page:x"]
    graph.link("page:x", ["album:x"])
    assert graph.dependents("photo:a") == []


def test_of_too_many_dependents_the_old_edges_stay_until_there_are_fewer(
    graph: RedisGraph,
) -> None:
    graph.link("config:a", ["file:a"])
    pages = [f"page:{number}" for number in range(1001)]
    for page in pages:
        graph.link(page, ["config:a"])
    graph.link("config:a", ["file:b"])
    assert graph.inputs("config:a") == ["file:a", "file:b"]
    graph.prune(pages[1:])
    graph.link("config:a", ["file:b"])
    assert graph.inputs("config:a") == ["file:b"]
    assert graph.dependents("file:a") == [pages[0]]


def test_edges_that_stay_have_an_end_which_is_counted(graph: RedisGraph) -> None:
    graph.link("config:a", [f"file:{number}" for number in range(10_001)])
    graph.link("page:a", ["config:a"])
    graph.link("config:a", ["file:new"])
    assert graph.inputs("config:a") == ["file:new"]
    assert graph.statistics()["unbridged"] == 1


def test_a_snapshot_follows_every_change(graph: RedisGraph, host: Host, tmp_path: Path) -> None:
    """Two processes: one follows step by step, one of another host loads at the end."""
    rnd, follower = random.Random(5), host.process()
    names = [f"n:{i}" for i in range(12)]
    for _ in range(120):
        if rnd.random() < 0.2:
            graph.prune([rnd.choice(names)])
        else:
            graph.link(rnd.choice(names), rnd.sample(names, rnd.randrange(4)))
        if rnd.random() < 0.5:
            assert edges(follower) == set(graph.edges())
        if rnd.random() < 0.1:
            host.process().write()
    assert edges(follower) == edges(Host(graph, tmp_path / "other").process())


def test_the_processes_of_a_host_map_one_file(graph: RedisGraph, host: Host) -> None:
    graph.link("v:1", ["u:1"])
    first, second = host.process(), host.process()
    assert edges(first) == edges(second) == {("u:1", "v:1")}
    (file,) = host.folder.glob("*.graph")
    maps = Path("/proc/self/maps")
    if maps.exists():
        assert maps.read_text().count(str(file)) == 2
    graph.link("v:2", ["u:1"])
    second.write()
    with first.current() as seen:
        assert seen.changes == 0, "it has taken the new file"
        assert len(seen) == 3


def test_a_reload_is_done_once_for_a_host(graph: RedisGraph, host: Host) -> None:
    graph.link("v:1", ["u:1"])
    edges(host.process())
    (file,) = host.folder.glob("*.graph")
    written = file.stat().st_mtime_ns
    graph.link("v:2", ["u:1"])
    assert len(edges(host.process())) == 2
    assert file.stat().st_mtime_ns == written


@pytest.mark.parametrize("damage", ["nothing", "half", "other", "newer"])
def test_a_damaged_file_is_made_anew(graph: RedisGraph, host: Host, damage: str) -> None:
    graph.link("v:1", ["u:1"])
    edges(host.process())
    (file,) = host.folder.glob("*.graph")
    whole = file.read_bytes()
    new = {
        "nothing": b"",
        "half": whole[: len(whole) // 2],
        "other": b"something else",
        "newer": whole.replace(b"cachekeeper graph 1", b"cachekeeper graph 2"),
    }
    file.write_bytes(new[damage])
    assert edges(host.process()) == {("u:1", "v:1")}
    assert file.read_bytes()[:20] == whole[:20]


def test_without_room_for_the_file_a_process_has_the_graph_for_itself(
    graph: RedisGraph, host: Host
) -> None:
    graph.link("v:1", ["u:1"])
    snapshot = host.process()
    edges(snapshot)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))  # as if the disk were full
    try:
        graph.link("v:2", ["u:1"])
        snapshot.write()
        assert len(edges(snapshot)) == 2
        assert len(edges(host.process())) == 2
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(host.folder.glob("*.graph")) == [], "nobody takes the old one for the newest"
    graph.link("v:3", ["u:1"])
    snapshot.write()
    assert len(edges(host.process())) == 3
    assert len(list(host.folder.glob("*.graph"))) == 1


def test_a_snapshot_whose_log_was_cut_off_loads_anew(
    graph: RedisGraph, host: Host, connection: Connection
) -> None:
    snapshot = host.process()
    graph.link("v:1", ["u:1"])
    assert edges(snapshot) == {("u:1", "v:1")}
    graph.link("v:1", ["u:2"])
    connection.redis.xtrim(connection.layout.graph_log, maxlen=0, approximate=False)
    graph.link("v:2", ["u:2"])
    assert edges(snapshot) == {("u:2", "v:1"), ("u:2", "v:2")}
    connection.redis.delete(connection.layout.graph_log)
    assert edges(snapshot) == {("u:2", "v:1"), ("u:2", "v:2")}


def test_a_snapshot_may_be_asked_while_another_thread_brings_it_up_to_date(
    graph: RedisGraph, host: Host
) -> None:
    """Workers may run threads; the snapshot has a lock, so it means to bear them."""
    names = [f"n:{i}" for i in range(300)]
    graph.link("n:0", names[1:200])
    request = make_request(id="all", at=0, keys=names)
    purger = Purger(host.process(), [], Limits(depth=5, budget=1000))
    end, over = time.monotonic() + RACE_S, threading.Event()

    def until_over(step: Callable[[], object]) -> None:
        try:
            while time.monotonic() < end and not over.is_set():
                step()
        except BaseException:
            over.set()
            raise

    rnd = random.Random(1)
    steps: list[Callable[[], object]] = [lambda: purger.near(request) for _ in range(3)]
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
