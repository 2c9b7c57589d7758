"""A model as JSON lines: what is written is read again, and nothing else is taken for one."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from cachekeeper.core.predict.exported import Learnt, read_model, write_model
from cachekeeper.core.predict.model import Model
from cachekeeper.errors import InvalidInput

MOST = 1000
Lines = list[str]


@pytest.fixture
def lines() -> Lines:
    """Of a page, its style sheet and a picture, which were read one after the other."""
    model = Model(1800, MOST)
    for number in range(6):
        for path in ("index.html", "style.css", "写真.jpg", "index.html"):
            model.observe(f"tv{number}", path, 1e9, threshold=1, limit=0)
    learnt = Learnt(dict(model.items), model.classes, model.outcomes, model.calibration)
    return list(write_model(learnt))


def test_what_is_written_is_read_again(lines: Lines) -> None:
    learnt = read_model(lines, MOST)
    assert set(learnt.files) == {"index.html", "style.css", "写真.jpg"}
    assert list(write_model(learnt)) == lines


def test_a_model_that_knows_nothing() -> None:
    assert read_model(write_model(Learnt()), 0) == Learnt()


def changed(number: int, **fields: object) -> Callable[[Lines], Lines]:
    """One line with other fields."""

    def change(lines: Lines) -> Lines:
        line = json.loads(lines[number])
        return [*lines[:number], json.dumps(line | fields), *lines[number + 1 :]]

    return change


RATE = 4  # a line of a class


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (lambda lines: lines[:0], "model: '0 files' is not allowed"),
        (lambda lines: lines[:-1], "the calibration at the end"),
        (lambda lines: [*lines, lines[-1]], "nothing after the calibration"),
        (lambda lines: [lines[0], lines[1], *lines[1:]], "line 3: 'index.html'"),
        (lambda lines: [lines[0], *lines[2:]], "model: '2 files' is not allowed; allowed: 3 files"),
        (lambda lines: [lines[0], "{", *lines[2:]], "line 2: '{"),
        (lambda lines: [lines[0], "[" * 100_000, *lines[2:]], "line 2: "),
        (lambda lines: [lines[0], "[]", *lines[2:]], "line 2: [] is not allowed"),
        (lambda lines: [lines[0], "{}", *lines[2:]], 'allowed: {"file": PATH'),
        (lambda lines: lines[1:], "line 1: {'file'"),
        (changed(0, cachekeeper_model=2), "line 1: "),
        (changed(0, files=MOST + 1), "line 1, files: 1001 is not allowed"),
        (changed(0, files=True), "line 1, files: True is not allowed"),
        (changed(1, file="../x"), "line 2, file: '../x' is not allowed"),
        (changed(1, file=7), "line 2, file: 7 is not allowed"),
        (changed(1, day=-1), "line 2, day: -1"),
        (changed(1, reads=[1, 2, 3]), "line 2, reads: [1, 2, 3]"),
        (changed(1, reads=[127, 1, 0, 0]), "line 2, reads: [127, 1, 0, 0]"),
        (changed(1, reads=[0.5, 1, 0, 0]), "line 2, reads: 0.5"),
        (changed(1, followers={"gone": [1, 0, 0, 0]}), "followers of index.html: 'gone'"),
        (changed(1, followers=[]), "line 2, followers: []"),
        (changed(1, followers={str(i): [1, 0, 0, 0] for i in range(11)}), "line 2, followers: "),
        (changed(RATE, hits=float("inf")), "line 5, hits: inf"),
        (changed(RATE, hits=10**400), "line 5, hits: 1000"),
        (changed(RATE, hits=1e39), "line 5, hits: 1e+39"),
        (changed(RATE, trials=-1), "line 5, trials: -1"),
        (changed(RATE, trials="1"), "line 5, trials: '1'"),
        (changed(RATE, **{"class": "x"}), "line 5, class: 'x'"),
        (changed(-1, calibration=[]), "calibration: []"),
        (changed(-1, calibration=[[1, 1, 1]] * 50), "calibration: [1, 1, 1]"),
    ],
)
def test_anything_else_is_refused_by_line(
    lines: Lines, broken: Callable[[Lines], Lines], said: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        read_model(broken(lines), MOST)
    assert said in str(refused.value)
