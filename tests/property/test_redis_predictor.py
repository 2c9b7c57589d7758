"""The predictor in Redis tells the very numbers that the model in plain Python does."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cachekeeper.core.ports.prediction import Prediction
from cachekeeper.core.predict.factors import rest_name
from cachekeeper.core.predict.model import CLASSES, Model
from cachekeeper.core.relations import Relation
from cachekeeper.store.redis.connection import Connection
from cachekeeper.store.redis.predicted import calibration_in, item_in, rate_in
from cachekeeper.store.redis.predictor import RedisPredictor
from tests.support import fresh_deployment

START = 1_700_000_000.0
HORIZON_S = 1800.0
ALL = -1.0  # a threshold
NONE = Prediction("", 0, 0, 0, 0, "")

FOLDERS = ["", "a", "a/b", "ä/2024"]
NAMES = ["IMG_08.jpg", "IMG_09.jpg", "IMG_9.JPG", "IMG_10.jpg", "IMG_10.xmp", "notes", "x.y.txt"]
PATHS = [f"{folder}/{name}".lstrip("/") for folder in FOLDERS for name in NAMES] + [".rc", "7", "8"]

steps = st.lists(
    st.tuples(
        st.sampled_from(["phone", "tv", "laptop"]),
        st.sampled_from(PATHS),
        st.floats(-2500, 6000, width=32),
        st.dictionaries(st.sampled_from(PATHS), st.sampled_from(list("-lda")), max_size=2),
    ),
    max_size=60,
)
Step = tuple[str, str, float, dict[str, str]]


def check(server_url: str, items: int, steps: list[Step]) -> Model:
    """Ask both the same, find the same numbers, and know the same at the end."""
    model, now = Model(HORIZON_S, items), START
    with fresh_deployment(server_url) as deployment:
        connection = Connection(server_url, deployment)
        redis = RedisPredictor(connection, HORIZON_S, items)
        for device, path, later, kinds in steps:
            now += later
            related = {other: Relation(kind) for other, kind in kinds.items()}
            expected = model.observe(device, path, now, threshold=ALL, limit=99, related=related)
            found = redis.observe(device, path, now, threshold=ALL, limit=99, related=related)
            same(found, expected)
        explained(redis, model, steps)
        compare(connection, model)
        before = now - 86400
        assert redis.forget(before) == model.forget(before)
        compare(connection, model)
        connection.redis.delete(*connection.redis.scan_iter(match=f"{connection.layout.prefix}*"))
        connection.close()
    return model


def same(found: list[Prediction], expected: list[Prediction]) -> None:
    assert [(p.path, p.relation) for p in found] == [(p.path, p.relation) for p in expected]
    for ours, theirs in zip(found, expected, strict=True):
        assert ours[1:5] == pytest.approx(theirs[1:5], abs=1e-9)


def explained(redis: RedisPredictor, model: Model, steps: list[Step]) -> None:
    """What each file that a device read last says of others, of whatever relation."""
    for device in {step[0] for step in steps}:
        for path in [*PATHS[:8], *{step[1] for step in steps[-8:]}]:
            found, expected = redis.explain(device, path), model.explain(device, path)
            same([each.prediction for each in found], [each.prediction for each in expected])
            assert [each._replace(prediction=NONE) for each in found] == [
                each._replace(prediction=NONE) for each in expected
            ]


def compare(connection: Connection, model: Model) -> None:
    """All that is kept, to the last digit."""
    layout, redis = connection.layout, connection.redis
    stored = redis.hgetall(layout.model_items)
    queue = [item_in(stored[digest]) for digest in redis.lrange(layout.model_queue, 0, -1)]
    assert len(stored) == len(queue) == len(model.items)
    for (path, found), (expected_path, expected) in zip(queue, model.items, strict=True):
        assert path == expected_path
        assert (found.day, found.touched, found.reads) == (
            expected.day,
            expected.touched,
            expected.reads,
        )
        assert list(found.followers.values()) == list(expected.followers.values())
    for key, rates in (
        (layout.model_classes, model.classes),
        (layout.model_outcomes, model.outcomes),
    ):
        kept = {name.decode(): rate_in(raw) for name, raw in redis.hgetall(key).items()}
        assert kept == rates
    assert calibration_in(redis.get(layout.model_calibration)) == model.calibration


@settings(max_examples=60)
@given(items=st.sampled_from([3, 10, 1000]), steps=steps)
def test_both_predict_the_same(server_url: str, items: int, steps: list[Step]) -> None:
    check(server_url, items, steps)


@pytest.mark.parametrize("items", [12, 1000])
def test_and_so_they_do_over_thousands_of_accesses(server_url: str, items: int) -> None:
    """Long enough for counts to be halved, and for files to be forgotten and seen again."""
    dice = random.Random(items)
    paths = [f"p/{i // 6}/IMG_{i}.jpg" for i in range(40)]
    walk, steps = 0, list[Step]()
    for _ in range(2500):
        walk = walk + 1 if dice.random() < 0.8 else dice.randrange(40)
        device = dice.choice(["phone", "tv", "laptop", "tablet"])
        steps.append((device, paths[walk % 40], dice.expovariate(1 / 60), {}))
    model = check(server_url, items, steps)
    assert len(model.items) == min(items, 40)
    assert any(each.hits for each in model.calibration.bins)


def test_pairs_of_extensions_beyond_a_number_are_counted_together(server_url: str) -> None:
    steps = list[Step]()
    for number in range(400):
        related = {f"f{other}.{number:x}{other:x}": "-" for other in range(12)}
        steps.append(("phone", f"g{number}.{number:x}", 5.0, related))
    model = check(server_url, 1000, steps)
    assert CLASSES <= len(model.classes) < CLASSES + 30
    assert model.classes[rest_name(Relation.FOLDER)].trials > 0
