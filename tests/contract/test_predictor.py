"""What every predictor does: the one in plain Python, and the one of the workers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from cachekeeper.core.ports.prediction import Predictor
from cachekeeper.core.predict.model import Model
from cachekeeper.core.relations import Relation
from cachekeeper.store.redis.connection import Connection
from cachekeeper.store.redis.predictor import RedisPredictor

NOW = 1_700_000_000.0
DAY_S = 86400
HORIZON_S = 1800.0

Make = Callable[[int], Predictor]


@pytest.fixture
def connection(server_url: str, deployment: str) -> Iterator[Connection]:
    connection = Connection(server_url, deployment)
    yield connection
    connection.close()


@pytest.fixture(params=["plain", "redis"])
def make(request: pytest.FixtureRequest, connection: Connection) -> Make:
    """A predictor that knows so many files at most."""
    if request.param == "plain":
        return lambda items: Model(HORIZON_S, items)
    return lambda items: RedisPredictor(connection, HORIZON_S, items)


def read(predictor: Predictor, device: str, *paths: str, at: float = NOW) -> dict[str, float]:
    """What is told after the last one."""
    told: dict[str, float] = {}
    for path in paths:
        found = predictor.observe(device, path, at, threshold=-1, limit=99)
        told = {each.path: each.probability for each in found}
    return told


def test_a_device_profits_from_what_others_read(make: Make) -> None:
    predictor = make(1000)
    for number in range(20):
        read(predictor, f"tv{number}", "page.html", "style.css")
    assert read(predictor, "phone", "page.html")["style.css"] > 0.7


def test_the_likeliest_come_first_and_not_more_than_asked_for(make: Make) -> None:
    predictor = make(1000)
    for number in range(20):
        read(predictor, f"tv{number}", "page", "always", *["often"] * (number % 2))
    found = predictor.observe("phone", "page", NOW, threshold=0.01, limit=9)
    assert [each.path for each in found] == ["always", "often"]
    few = predictor.observe("tablet", "page", NOW, threshold=0.01, limit=1)
    assert [each.path for each in few] == ["always"]
    assert predictor.observe("laptop", "page", NOW, threshold=1.01, limit=9) == []


def test_files_that_the_caller_knows_of_need_not_have_been_read(make: Make) -> None:
    related = {"写真/IMG_2.jpg": Relation.NONE, "写真/z": Relation.DEPENDENT}
    found = make(1000).observe(
        "phone", "写真/IMG_1.jpg", NOW, threshold=0, limit=9, related=related
    )
    assert {each.path: each.relation for each in found} == {
        "写真/IMG_2.jpg": "next in series",
        "写真/z": "dependent",
    }


def test_a_caller_may_name_a_few_files_and_not_a_whole_folder(make: Make) -> None:
    related = {f"f{number:04}": Relation.LISTED for number in range(1000)}
    predictor = make(1000)
    found = predictor.observe("phone", "x", NOW, threshold=-1, limit=999, related=related)
    assert {each.path for each in found} == {f"f{number:04}" for number in range(16)}


def test_the_reasons_are_told_newest_first(make: Make) -> None:
    predictor = make(1000)
    for number in range(4):
        read(predictor, f"tv{number}", "a", "b", "c")
    read(predictor, "phone", "a", "b", at=NOW + 5)
    reasons = predictor.explain("phone", "c")
    assert [(each.after, each.reads, each.followed) for each in reasons] == [
        ("b", 5, 4),
        ("a", 5, 4),
    ]
    assert {each.prediction.path for each in reasons} == {"c"}
    assert reasons[0].at == NOW + 5
    assert predictor.explain("nobody", "c") == []


def test_looking_for_reasons_changes_nothing(make: Make) -> None:
    predictor = make(1000)
    read(predictor, "tv", "a", "b")
    read(predictor, "phone", "a")
    assert predictor.explain("phone", "b") == predictor.explain("phone", "b")
    assert predictor.explain("phone", "never read")[0].followed == 0


def test_the_number_of_files_is_bounded(make: Make) -> None:
    predictor = make(20)
    for number in range(100):
        read(predictor, "phone", f"f{number}")
    assert predictor.forget(NOW + 2 * DAY_S) == 20


def test_files_not_read_for_long_are_forgotten(make: Make) -> None:
    predictor = make(1000)
    for number in range(700):  # more than are looked at in one call
        read(predictor, f"d{number % 2}", f"f{number}", at=NOW + (number % 2) * 3 * DAY_S)
    assert predictor.forget(NOW + DAY_S) == 350
    assert predictor.forget(NOW + DAY_S) == 0


class TestInRedis:
    """What a plain object does not have."""

    @pytest.fixture
    def predictor(self, connection: Connection) -> RedisPredictor:
        """See the class."""
        return RedisPredictor(connection, HORIZON_S, 1000)

    def test_an_access_takes_one_round_trip(
        self, predictor: RedisPredictor, connection: Connection
    ) -> None:
        read(predictor, "phone", "a", "b")

        def calls() -> dict[str, Any]:
            stats: dict[str, Any] = connection.redis.info("commandstats")
            return {name: each["calls"] for name, each in stats.items()}

        before = calls()["cmdstat_evalsha"]
        read(predictor, "phone", *["a", "b"] * 5)
        assert calls()["cmdstat_evalsha"] - before == 10

    def test_it_outlives_a_process(self, predictor: RedisPredictor, connection: Connection) -> None:
        for number in range(9):
            read(predictor, f"tv{number}", "a", "b")
        another = RedisPredictor(connection, HORIZON_S, 1000)
        assert read(another, "phone", "a")["b"] > 0.5

    def test_what_is_kept_of_a_file_and_of_a_device_is_bounded(
        self, predictor: RedisPredictor, connection: Connection
    ) -> None:
        layout = connection.layout
        for number in range(3000):
            path = f"a/folder/with/a/name/IMG_{number * 7919 % 300}.jpg"
            read(predictor, f"d{number % 3}", path, at=NOW + number)
        model = list(connection.redis.scan_iter(match=f"{layout.prefix}model:*", count=1000))
        total = sum(connection.redis.memory_usage(key, samples=0) for key in model)
        assert total / connection.redis.hlen(layout.model_items) < 400
        for device in ("d0", "d1", "d2"):
            assert connection.redis.memory_usage(layout.history(device)) < 4096
            assert 0 < connection.redis.ttl(layout.history(device)) <= DAY_S + 1

    def test_what_is_forgotten_meanwhile_hurts_nobody(
        self, predictor: RedisPredictor, connection: Connection
    ) -> None:
        """As when a model is replaced while devices read."""
        read(predictor, "phone", "a", "b", "a", "b", "c")
        layout = connection.layout
        for key in (layout.model_items, layout.model_queue, layout.model_classes):
            connection.redis.delete(key)
            assert read(predictor, "phone", "b", "a") is not None
        connection.redis.delete(layout.model_outcomes, layout.model_calibration)
        read(predictor, "phone", "c", "b", "a")
        assert predictor.explain("phone", "c")
