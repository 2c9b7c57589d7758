"""Which files belong to a file, by the graph and by its folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cachekeeper.core.relations import Relation
from cachekeeper.services.relatives import DEPENDENTS, Relatives
from cachekeeper.store.redis.connection import Connection
from cachekeeper.store.redis.graph import RedisGraph


@pytest.fixture
def graph(server_url: str, deployment: str) -> Iterator[RedisGraph]:
    connection = Connection(server_url, deployment)
    yield RedisGraph(connection)
    connection.close()


def test_the_next_of_the_folder(graph: RedisGraph) -> None:
    beside = ["a/1.txt", "a/b.txt", "a/c.txt", "a/d.txt", "a/e.txt"]
    assert Relatives(graph).of("a/b.txt", beside) == {
        "a/c.txt": Relation.LISTED,
        "a/d.txt": Relation.LISTED,
    }


def test_the_next_of_a_series_goes_by_its_name(graph: RedisGraph) -> None:
    graph.link("album:summer", ["file:a/IMG_9.jpg", "file:a/IMG_10.jpg"])
    beside = ["a/IMG_10.jpg", "a/IMG_11.jpg", "a/IMG_9.jpg"]
    assert Relatives(graph).of("a/IMG_9.jpg", beside) == {
        "a/IMG_10.jpg": Relation.NONE,
        "a/IMG_11.jpg": Relation.LISTED,
    }


def test_files_made_from_it(graph: RedisGraph) -> None:
    graph.link("file:small/x.jpg", ["file:x.jpg"])
    graph.link("page:x", ["file:x.jpg"])  # nothing that a device could hold
    assert Relatives(graph).of("x.jpg", []) == {"small/x.jpg": Relation.DEPENDENT}


def test_the_next_of_its_albums_wherever_they_lie(graph: RedisGraph) -> None:
    graph.link("album:best", [f"file:{year}/p.jpg" for year in (2021, 2022, 2023, 2024)])
    graph.link("album:best", ["config:albums"], more=True)
    assert Relatives(graph).of("2022/p.jpg", []) == {
        "2023/p.jpg": Relation.ALBUM,
        "2024/p.jpg": Relation.ALBUM,
    }
    assert Relatives(graph).of("2024/p.jpg", []) == {}


def test_they_stay_few(graph: RedisGraph) -> None:
    for number in range(100):
        graph.link(f"file:made/{number}", ["file:x"])
    assert len(Relatives(graph).of("x", [f"y{number}" for number in range(100)])) <= DEPENDENTS + 2


def test_what_nobody_knows(graph: RedisGraph) -> None:
    assert Relatives(graph).of("x", []) == {}
