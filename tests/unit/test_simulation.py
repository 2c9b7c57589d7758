"""What is counted of a simulation, and how it is drawn."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from cachekeeper.core.policy import make
from cachekeeper.core.policy.chart import HUES, Row, chart
from cachekeeper.core.policy.simulation import STRIDE, Misses, share_of, simulate
from cachekeeper.core.policy.trace import Trace

SVG = "{http://www.w3.org/2000/svg}"


def trace(*accesses: tuple[str, int]) -> Trace:
    times = [float(i) for i in range(len(accesses))]
    return Trace("t", times, [key for key, _ in accesses], [size for _, size in accesses])


def test_misses_are_counted_by_request_byte_and_cost() -> None:
    found = simulate(make("lru", 100), trace(("a", 10), ("b", 20), ("a", 10), ("c", 200)))
    assert found.omr == 3 / 4
    assert found.bmr == 230 / 240
    # The mean size is 60: a trip costs 180, three of four are made.
    assert found.cmr == pytest.approx((3 * 180 + 230) / (4 * 180 + 240))


def test_a_key_held_under_another_size_is_a_hit() -> None:
    lru = make("lru", 100)
    found = simulate(lru, trace(("a", 10), ("a", 30), ("b", 90), ("a", 30)))
    assert found.omr == 3 / 4  # b took a's place, as 30 + 90 are too much
    assert lru.used == 30


def test_nothing_but_empty_objects_costs_what_it_misses() -> None:
    found = simulate(make("gdga", 1), trace(("a", 0), ("a", 0)))
    assert found == Misses(omr=0.5, bmr=0.0, cmr=0.5)


def test_progress_adds_up() -> None:
    done: list[int] = []
    simulate(make("lru", 5), trace(*[("a", 1)] * (2 * STRIDE + 5)), done.append)
    assert done == [STRIDE, STRIDE, 5]


def test_a_share_is_a_byte_at_least() -> None:
    assert (share_of(1000, 0.1), share_of(10, 0.001)) == (100, 1)


def test_the_chart_has_every_point_with_its_figure() -> None:
    misses = [Misses(0.5, 0.25, 0.75), Misses(0.125, 0.5, 0.0)]
    names = [f"p{i}" for i in range(HUES + 1)]
    hostile = 'a<b>&"\x00'
    rows = [
        Row(hostile, ["1%", "10%"], dict.fromkeys(names, misses)),
        Row("u", ["1M"], {"p0": misses[:1]}),
    ]
    root = ElementTree.fromstring(chart(rows))
    told = [title.text for title in root.findall(f".//{SVG}circle/{SVG}title")]
    assert len(told) == 3 * (len(names) * 2 + 1)
    assert "p0, 1%: 50.0%" in told
    assert "p8, 10%: 100.0%" in told
    texts = [text.text for text in root.findall(f".//{SVG}text")]
    assert {*names, "u", 'a<b>&"\ufffd', "1%", "1M"} <= set(texts)
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    for point in root.iter(f"{SVG}circle"):
        assert 0 < float(point.attrib["cx"]) < width
        assert 0 < float(point.attrib["cy"]) < height
