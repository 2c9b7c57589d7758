"""Which files belong to a file, by the graph and by its folder."""

from __future__ import annotations

import pytest

from cachekeeper.core.relations import Relation
from cachekeeper.services.folders import FILES, KEPT_S, Folders
from cachekeeper.services.relatives import DEPENDENTS, Relatives
from cachekeeper.store.redis.connection import Connection
from cachekeeper.store.redis.graph import RedisGraph


@pytest.fixture
def graph(connection: Connection) -> RedisGraph:
    return RedisGraph(connection)


def related(graph: RedisGraph, path: str, *beside: str) -> dict[str, Relation]:
    """What is related to a path in a folder of such names."""
    return Relatives(graph, Folders(lambda _: beside, lambda: 0.0)).of(path)


def test_the_next_of_the_folder(graph: RedisGraph) -> None:
    beside = ["1.txt", "b.txt", "c.txt", "c/", "d.txt", "e.txt"]
    assert related(graph, "a/b.txt", *beside) == {
        "a/c.txt": Relation.LISTED,
        "a/d.txt": Relation.LISTED,
    }


def test_the_next_of_a_series_goes_by_its_name(graph: RedisGraph) -> None:
    graph.link("album:summer", ["file:a/IMG_9.jpg", "file:a/IMG_10.jpg"])
    beside = ["IMG_10.jpg", "IMG_11.jpg", "IMG_9.jpg"]
    assert related(graph, "a/IMG_9.jpg", *beside) == {
        "a/IMG_10.jpg": Relation.NONE,
        "a/IMG_11.jpg": Relation.LISTED,
    }


def test_files_made_from_it(graph: RedisGraph) -> None:
    graph.link("file:small/x.jpg", ["file:x.jpg"])
    graph.link("page:x", ["file:x.jpg"])  # nothing that a device could hold
    assert related(graph, "x.jpg") == {"small/x.jpg": Relation.DEPENDENT}


def test_the_next_of_its_albums_wherever_they_lie(graph: RedisGraph) -> None:
    graph.link("album:best", [f"file:{year}/p.jpg" for year in (2021, 2022, 2023, 2024)])
    graph.link("album:best", ["config:albums"], more=True)
    assert related(graph, "2022/p.jpg") == {
        "2023/p.jpg": Relation.ALBUM,
        "2024/p.jpg": Relation.ALBUM,
    }
    assert related(graph, "2024/p.jpg") == {}


def test_they_stay_few(graph: RedisGraph) -> None:
    for number in range(100):
        graph.link(f"file:made/{number}", ["file:x"])
    beside = [f"y{number}" for number in range(100)]
    assert len(related(graph, "x", *beside)) <= DEPENDENTS + 2


def test_what_nobody_knows(graph: RedisGraph) -> None:
    assert related(graph, "x") == {}


class TestFolders:
    """What the sweep knows of a folder, for a minute."""

    def test_it_is_asked_for_once_a_minute(self) -> None:
        asked, now = list[str](), [0.0]

        def entries(folder: str) -> list[str]:
            asked.append(folder)
            return [f"{number}.txt" for number in range(len(asked) + 1)]

        folders = Folders(entries, lambda: now[0])
        for _ in range(3):
            assert folders.after("a/0.txt", 9) == ["a/1.txt"]
        now[0] = KEPT_S
        assert folders.after("a/0.txt", 9) == ["a/1.txt", "a/2.txt"]
        assert folders.after("0.txt", 1) == ["1.txt"]
        assert asked == ["a", "a", ""]

    def test_a_folder_that_is_too_large_has_no_next(self) -> None:
        names = [f"{number}.txt" for number in range(FILES + 1)]
        assert Folders(lambda _: names[1:], lambda: 0.0).after("1.txt", 1) == ["2.txt"]
        assert Folders(lambda _: names, lambda: 0.0).after("1.txt", 1) == []
