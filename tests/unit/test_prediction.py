"""What the model predicts, and from what."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from cachekeeper.core.policy.trace import Trace
from cachekeeper.core.ports.prediction import Prediction, Predictor
from cachekeeper.core.predict.calibration import BINS, Bin, Calibration, bin_of
from cachekeeper.core.predict.evidence import Own, own_evidence
from cachekeeper.core.predict.items import FOLLOWERS, HALVED_AT, Item, Items
from cachekeeper.core.predict.model import Model
from cachekeeper.core.predict.rates import HALVED_AT as RATE_HALVED_AT
from cachekeeper.core.predict.rates import Rate
from cachekeeper.core.predict.simulation import foresee
from cachekeeper.core.relations import Relation

NOON = 1_700_000_000.0 // 86400 * 86400 + 43200
DAY_S = 86400


def read(model: Model, device: str, *paths: str, at: float = NOON) -> list[Prediction]:
    """What is predicted after the last one."""
    found: list[Prediction] = []
    for path in paths:
        found = model.observe(device, path, at, threshold=-1, limit=99)
    return found


def taught(times: int = 30) -> Model:
    """A model that saw a style sheet after each page, and a picture after half of them."""
    model = Model(1800, 1000)
    for number in range(times):
        read(model, f"tv{number}", "page.html", "style.css", *["a.jpg"] * (number % 2))
    return model


def test_what_always_followed_is_likelier_than_what_often_did() -> None:
    sheet, picture = read(taught(), "phone", "page.html")
    assert (sheet.path, picture.path) == ("style.css", "a.jpg")
    assert sheet.probability > 0.8 > 0.6 > picture.probability > 0.3
    assert sheet.relation == "same folder"


def test_a_threshold_and_a_limit() -> None:
    model = taught()
    found = model.observe("phone", "page.html", NOON, threshold=0.7, limit=4)
    assert [each.path for each in found] == ["style.css"]
    assert model.observe("tablet", "page.html", NOON, threshold=0, limit=1)[0].path == "style.css"
    assert model.observe("laptop", "page.html", NOON, threshold=0, limit=0) == []


def test_what_was_just_read_is_not_predicted() -> None:
    assert "style.css" not in {p.path for p in read(taught(), "phone", "style.css", "page.html")}


def test_devices_are_learnt_from_together_and_apart() -> None:
    """What one device reads after another one's file has nothing to do with that."""
    model = Model(1800, 1000)
    for _ in range(9):
        read(model, "phone", "a")
        read(model, "tv", "b")
    assert read(model, "laptop", "a") == []
    read(model, "phone", "c")
    assert {each.path for each in read(model, "laptop", "x", "a")} == {"c"}


def test_beyond_the_horizon_nothing_follows() -> None:
    model = Model(10, 1000)
    read(model, "phone", "a", at=NOON)
    read(model, "phone", "b", at=NOON + 11)
    assert read(model, "tv", "a", at=NOON + 12) == []


def test_an_access_that_comes_late_counts_as_the_last() -> None:
    model = Model(10, 1000)
    read(model, "phone", "a", at=NOON)
    read(model, "phone", "b", at=NOON - 5)
    assert [each.path for each in read(model, "tv", "a", at=NOON)] == ["b"]


def test_a_clock_that_was_wrong_once_is_not_for_ever() -> None:
    model = Model(10, 1000)
    read(model, "phone", "a", at=NOON + 365 * DAY_S)
    read(model, "phone", "b", "c", at=NOON)
    assert read(model, "tv", "a") == []
    assert [each.path for each in read(model, "laptop", "b")] == ["c"]


def test_the_time_of_day_counts() -> None:
    model = Model(1800, 1000)
    for number in range(40):
        morning = NOON + number * DAY_S
        read(model, "phone", "news", *["weather"] * (number % 2 == 0), at=morning)
        read(model, "phone", "news", at=morning + DAY_S / 2)
    found = {
        at: read(model, "tv", "x", "news", at=NOON + 50 * DAY_S + at)[0] for at in (0, DAY_S / 2)
    }
    assert found[0].time > found[DAY_S / 2].time


def test_paging_through_a_series_predicts_the_next_that_was_never_read_by_its_relation() -> None:
    model = Model(1800, 1000)
    found: list[Prediction] = []
    for number in range(1, 30):
        after = {f"IMG_{number + 1}.jpg": Relation.NONE}
        found = model.observe(
            "phone", f"IMG_{number}.jpg", NOON, threshold=-1, limit=9, related=after
        )
    assert found[0].path == "IMG_30.jpg"
    assert found[0].probability > 0.7
    assert found[0].relation == "next in series, 3 before"


def test_what_the_caller_knows_goes_by_the_relation_that_it_says() -> None:
    model = Model(1800, 1000)
    (found,) = model.observe(
        "phone", "a/x", NOON, threshold=0, limit=9, related={"a/y": Relation.ALBUM}
    )
    assert found.relation == "same album"


def test_what_never_follows_is_told_so() -> None:
    """Random reads: whatever is said, about that share comes true, and nothing is sure."""
    dice, model, last = random.Random(1), Model(1800, 1000), list[Prediction]()
    for number in range(5000):
        last = read(model, f"tv{number % 5}", f"f{dice.randrange(200)}", at=NOON + number)
    assert max(each.probability for each in last) < 0.4


def test_it_is_a_predictor_as_the_port_says() -> None:
    predictor: Predictor = taught()
    (reason,) = predictor.explain("tv0", "a.jpg")[:1]
    assert reason.after == "style.css"
    assert (reason.reads, reason.followed) == (30, 15)


class TestFiles:
    """How many are known, and for how long."""

    def test_never_more_than_the_limit(self) -> None:
        model = Model(1800, 10)
        for number in range(100):
            read(model, "phone", f"f{number}")
        assert len(model.items) == 10

    def test_what_is_read_again_outlives_what_is_not(self) -> None:
        model = Model(1800, 10)
        for number in range(500):
            read(model, "phone", f"f{number}", *["often"] * (number % 5 == 0))
        assert model.items.get("often") is not None

    def test_what_was_not_read_for_long_is_forgotten(self) -> None:
        model = Model(1800, 1000)
        read(model, "phone", "old", at=NOON)
        read(model, "phone", "new", at=NOON + 3 * DAY_S)
        assert model.forget(NOON + DAY_S) == 1
        assert [path for path, _ in model.items] == ["new"]

    def test_counts_are_bounded_and_keep_their_ratio(self) -> None:
        item = Item(0)
        for _ in range(10 * HALVED_AT):
            item.read(0, 0)
            item.followed_by("always", 0)
        assert sum(item.reads) < HALVED_AT
        assert 0.95 < item.followers["always"][0] / item.reads[0] <= 1.02

    def test_the_rarest_follower_makes_room(self) -> None:
        item = Item(0)
        for number in range(FOLLOWERS):
            for _ in range(1 + (number != 3)):
                item.followed_by(f"f{number}", 0)
        item.followed_by("new", 0)
        assert len(item.followers) == FOLLOWERS
        assert "f3" not in item.followers

    def test_all_of_them_read_since_and_still_one_goes(self) -> None:
        items = Items(3)
        for number in range(50):
            items.read(f"f{number}", 0, 0)
            assert len(items) <= 3


class TestCalibration:
    """From a weighted sum to a probability."""

    def test_nothing_is_known_at_first(self) -> None:
        assert Calibration().curve() == pytest.approx([(n + 0.5) / BINS for n in range(BINS)])

    def test_a_higher_sum_never_means_a_lower_probability(self) -> None:
        dice = random.Random(2)
        for _ in range(50):
            bins = [Bin(dice.random() * (t := dice.randrange(99)), t) for _ in range(BINS)]
            curve = Calibration(bins).curve()
            assert all(low <= high for low, high in pairwise(curve))
            assert 0 <= curve[0] <= curve[-1] <= 1

    def test_what_came_true_is_what_is_told(self) -> None:
        bins = [Bin() for _ in range(BINS)]
        bins[bin_of(0.9)] = Bin(300, 1000)
        assert Calibration(bins).curve()[bin_of(0.9)] == pytest.approx(0.3, abs=0.05)

    def test_the_ends(self) -> None:
        assert (bin_of(0), bin_of(1)) == (0, BINS - 1)


def test_a_rate_forgets() -> None:
    rate = Rate()
    for _ in range(int(3 * RATE_HALVED_AT)):
        rate.tried()
        rate.hits += 1
    for _ in range(int(3 * RATE_HALVED_AT)):
        rate.tried()
    assert rate.trials < RATE_HALVED_AT
    assert rate.smoothed(0.1, 4) < 0.1


def test_what_a_device_did_itself() -> None:
    seen = ["a", "b", "a", "x", "x", "x", "x", "b", "a"]
    assert own_evidence(seen, "a", "b") == Own(3, 1)
    assert own_evidence([], "a", "b") == Own(0, 0)


class TestSimulation:
    """What prefetching would have made of a trace."""

    def played(self, keys: list[str], clients: int) -> dict[str, float | None]:
        """Read in turns, each client from the first to the last."""
        all_ = keys * clients
        who = [str(number) for number in range(clients) for _ in keys]
        trace = Trace("t", [NOON + n for n in range(len(all_))], all_, [10] * len(all_), who)
        return foresee(trace, 60, share=1, threshold=0.7, at_once=4).to_json()

    def test_what_all_read_in_the_same_order_is_there_in_time(self) -> None:
        found = self.played([f"f{n}" for n in range(20)], 30)
        assert found["hit_before"] == 0
        assert (found["coverage"] or 0) > 0.8
        assert (found["precision"] or 0) > 0.95
        assert (found["calibration_error"] or 0) < 0.1

    def test_one_that_nobody_follows_prefetches_nothing(self) -> None:
        found = self.played([f"f{n}" for n in range(200)], 1)
        assert (found["prefetched"], found["precision"], found["extra_bytes"]) == (0, None, 0)
        assert found["hit_after"] == found["hit_before"] == 0
