"""The rule of lifetimes, its bounds, and who makes a value anew early (SPEC 5)."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachekeeper.client.lifetimes import lifetime_of
from cachekeeper.core.ttl import NEVER_BEFORE, Lifetime, is_due_early
from cachekeeper.errors import ConfigurationError, InvalidInput
from cachekeeper.settings import LONGEST_CLASS_S, Settings, load

KEY = "thumb:1"
EXACT = load(ttl_jitter=0)


@pytest.mark.parametrize(
    ("ttl_class", "expected"),
    [
        ("media", [86400, 129600, 194400, 291600, 437400, 604800, 604800]),
        ("metadata", [300, 600, 1200, 2400, 3600, 3600]),
        ("config", [1800, 2160, 2592, 3110.4, 3732.48, 4478.976, 5374.7712, 6449.72544, 7200]),
    ],
)
def test_each_access_multiplies_the_life_up_to_the_most_of_the_class(
    ttl_class: str, expected: list[float]
) -> None:
    rule = lifetime_of(EXACT, ttl_class=ttl_class)
    assert [rule.after(KEY, n) for n in range(len(expected))] == pytest.approx(expected)
    assert rule.after(KEY, 10**12) == rule.most(KEY) == expected[-1]


def test_without_a_class_nothing_extends_a_life() -> None:
    rule = lifetime_of(EXACT, 600)
    assert not rule.extends
    assert rule.after(KEY, 0) == rule.after(KEY, 1000) == rule.most(KEY) == 600


@given(
    base=st.floats(1, 1e6),
    multiplier=st.floats(1, 10),
    more=st.floats(0, 1e6),
    jitter=st.floats(0, 0.1),
    accesses=st.integers(0, 10**9),
    key=st.text(min_size=1),
)
def test_a_life_never_shrinks_with_an_access_and_stays_within_its_bounds(
    base: float, multiplier: float, more: float, jitter: float, accesses: int, key: str
) -> None:
    rule = Lifetime(base, multiplier, base + more, jitter)
    life = rule.after(key, accesses)
    assert life <= rule.after(key, accesses + 1) * (1 + 1e-9)
    assert (1 - jitter) * base * (1 - 1e-9) <= life <= rule.most(key) * (1 + 1e-9)
    assert rule.most(key) <= base + more


def test_jitter_shortens_by_up_to_its_share_and_spreads_evenly() -> None:
    rule = Lifetime(1000, jitter=0.1)
    lives = sorted(rule.after(f"thumb:{i}", 0) for i in range(2000))
    assert 900 < lives[0] < 905
    assert 995 < lives[-1] <= 1000
    assert lives[1000] == pytest.approx(950, abs=5)


def test_every_process_agrees_on_the_jitter_of_a_key() -> None:
    assert Lifetime(1000, jitter=0.1).after("thumb:é", 0) == pytest.approx(974.2316, abs=1e-4)


@pytest.mark.parametrize(
    ("given", "field", "allowed"),
    [
        ({"ttl_s": 59.9}, "ttl_s", "60 to 86400 seconds"),
        ({"ttl_s": 86400.1}, "ttl_s", "60 to 86400 seconds"),
        ({"ttl_s": math.nan}, "ttl_s", "60 to 86400 seconds"),
        ({"ttl_s": "60"}, "ttl_s", "60 to 86400 seconds"),
        ({"ttl_s": 3601, "ttl_class": "metadata"}, "ttl_s", "60 to 3600 seconds"),
        ({"ttl_s": 86401, "ttl_class": "media"}, "ttl_s", "60 to 86400 seconds"),
        ({"ttl_class": "medai"}, "ttl_class", "one of media, metadata, config"),
        ({"ttl_class": ["media"]}, "ttl_class", "one of media, metadata, config"),
    ],
)
def test_what_is_not_allowed_is_refused_by_name(
    given: dict[str, object], field: str, allowed: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        lifetime_of(EXACT, **given)
    assert (refused.value.field, refused.value.allowed) == (field, allowed)


@pytest.mark.parametrize("ttl_s", [60, 3600, 86400])
def test_the_bounds_themselves_are_allowed(ttl_s: float) -> None:
    assert lifetime_of(EXACT, ttl_s).base_s == ttl_s
    assert lifetime_of(EXACT, min(ttl_s, 3600), "metadata").longest_s == 3600


def test_an_explicit_lifetime_is_the_base_of_its_class() -> None:
    rule = lifetime_of(EXACT, 100, "metadata")
    assert [rule.after(KEY, n) for n in (0, 1, 2, 9)] == pytest.approx([100, 200, 400, 3600])


def test_the_global_bounds_hold_at_the_fill_and_the_class_maximum_afterwards() -> None:
    settings = load(ttl_min_s=400, ttl_max_s=7200, ttl_jitter=0)
    media, metadata = (lifetime_of(settings, ttl_class=name) for name in ("media", "metadata"))
    assert (media.after(KEY, 0), media.most(KEY)) == (7200, 604800)
    assert (metadata.after(KEY, 0), metadata.most(KEY)) == (400, 3600)
    assert settings.longest_life_s == 604800


def test_own_classes_are_added_and_those_that_ship_can_be_changed() -> None:
    own = {"base_s": 90, "multiplier": 3, "max_s": 1000}
    settings = load(ttl_classes={"search": own, "media": {"max_s": 90000}})
    assert list(settings.ttl_classes) == ["media", "metadata", "config", "search"]
    assert settings.ttl_classes["media"].model_dump() == {
        "base_s": 86400,
        "multiplier": 1.5,
        "max_s": 90000,
    }
    assert load().ttl_classes["media"].max_s == 604800
    assert Settings.model_construct().ttl_classes == load().ttl_classes


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"own": {"base_s": 100, "multiplier": 2}}, r"ttl_classes\.own\.max_s"),
        ({"own": {"base_s": 100, "multiplier": 2, "max_s": 99}}, r"ttl_classes\.own.*max_s 99"),
        ({"own": {"base_s": 100, "multiplier": 0.9, "max_s": 200}}, r"own\.multiplier"),
        ({"own": {"base_s": 0, "multiplier": 1, "max_s": 200}}, r"own\.base_s"),
        ({"media": {"max_s": LONGEST_CLASS_S + 1}}, r"media\.max_s.*2592000"),
        ({"media": {"maxs": 1}}, r"media\.maxs: unknown.*max_s\?"),
        ({"a:b": {}}, r"ttl_classes.*'a:b'"),
        (["media"], "ttl_classes"),
    ],
)
def test_a_malformed_class_is_refused_by_name(given: object, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        load(ttl_classes=given)


def test_classes_come_from_the_environment_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CACHEKEEPER_TTL_CLASSES", '{"config": {"multiplier": 2}}')
    assert load().ttl_classes["config"].multiplier == 2
    monkeypatch.setenv("CACHEKEEPER_TTL_CLASSES", '{"config": ')
    with pytest.raises(ConfigurationError, match="ttl_classes"):
        load()


def _begins(beta: float, load_s: float, draw: Callable[[], float]) -> float:
    """How long before its end a value is made anew that is read a hundred times a second."""
    for hundredth in range(100_000, 0, -1):
        left_s = hundredth / 100
        due = is_due_early(expires=left_s, scale_s=beta * load_s, now=0, drawn=1 - draw())
        if due:
            return left_s
    return 0.0


def test_a_slow_loader_begins_earlier_and_most_are_done_in_time() -> None:
    """Its distribution is known; with a seed there is nothing left to chance."""
    draw = random.Random(5).random
    early = {load_s: sorted(_begins(1, load_s, draw) for _ in range(99)) for load_s in (0.5, 2)}
    for load_s, begun in early.items():
        # P(nobody before t) = exp(-100 a second * load_s * exp(-t / load_s))
        median = load_s * math.log(100 * load_s / math.log(2))
        assert begun[49] == pytest.approx(median, rel=0.15)
        assert begun[4] > load_s, "95 of 100 are done before the value expires"


def test_beta_moves_the_start_and_zero_is_never_early() -> None:
    draw = random.Random(7).random
    once, twice = (sorted(_begins(beta, 1, draw) for _ in range(49))[24] for beta in (1, 2))
    assert twice > 1.5 * once
    for drawn in (1.0, 0.5, 2**-53):
        assert not is_due_early(expires=1, scale_s=0, now=0.99, drawn=drawn)
        assert not is_due_early(expires=NEVER_BEFORE, scale_s=1, now=0, drawn=drawn)
