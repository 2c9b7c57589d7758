"""A model as JSON lines: what is exported, and read again after it was checked."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from cachekeeper.core.keys import check_path
from cachekeeper.core.predict.calibration import BINS, Bin, Calibration
from cachekeeper.core.predict.factors import SLOTS
from cachekeeper.core.predict.items import FOLLOWERS, HALVED_AT, Item
from cachekeeper.core.predict.model import CLASSES
from cachekeeper.core.predict.rates import Rate
from cachekeeper.core.relations import Relation
from cachekeeper.errors import InvalidInput

VERSION: Final = 1
LAST_DAY: Final = 65535
MOST_TRIALS: Final = 1_000_000  # far above those at which counts are halved
_KIND = f"[{re.escape(''.join(Relation))}]"
_CLASS: Final = re.compile(rf"{_KIND}(?:[a-z0-9]{{0,8}}>[a-z0-9]{{0,8}}|\*)")
_OUTCOME: Final = re.compile(rf"{_KIND}(?:10|[0-9]):[0-6]")
_FILE: Final = '{"file": PATH, "day": D, "reads": [N, N, N, N], "followers": {PATH: [N, N, N, N]}}'
_COUNTS: Final = f"{SLOTS} whole numbers that are at least 0 and make {HALVED_AT - 1} at most"


@dataclass(slots=True)
class Learnt:
    """All that a model knows, but what devices have just done."""

    files: dict[str, Item] = field(default_factory=dict)  # the next to be forgotten first
    classes: dict[str, Rate] = field(default_factory=dict)
    outcomes: dict[str, Rate] = field(default_factory=dict)
    calibration: Calibration = field(default_factory=Calibration)


def write_model(learnt: Learnt) -> Iterator[str]:
    """The lines, the first of which says what they are."""
    yield _json({"cachekeeper_model": VERSION, "files": len(learnt.files)})
    for path, item in learnt.files.items():
        told = {"file": path, "day": item.day, "reads": item.reads, "followers": item.followers}
        yield _json(told)
    for kind, rates in (("class", learnt.classes), ("outcome", learnt.outcomes)):
        for name, rate in rates.items():
            yield _json({kind: name, "hits": rate.hits, "trials": rate.trials})
    yield _json({"calibration": [[each.hits, each.trials] for each in learnt.calibration.bins]})


def read_model(lines: Iterable[str], most: int) -> Learnt:
    """The opposite of ``write_model``, of at most so many files.

    Raises:
        InvalidInput: names the line and what is wrong in it; or the last line is missing.
    """
    learnt, promised, ended = Learnt(), None, False
    for number, text in enumerate(lines, 1):
        at = f"line {number}"
        try:
            line = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise InvalidInput(at, text, f"JSON ({error})") from None
        if not isinstance(line, dict) or ended:
            raise InvalidInput(at, line, "nothing after the calibration" if ended else "an object")
        if promised is None:
            promised = _promised(at, line, most)
        elif line.keys() == {"calibration"}:
            learnt.calibration, ended = _calibration(at, line["calibration"]), True
        else:
            _add(learnt, at, line)
    if not ended or len(learnt.files) != promised:
        told = f"{len(learnt.files)} files"
        raise InvalidInput("model", told, f"{promised} files, and the calibration at the end")
    _check_followers(learnt)
    return learnt


def _promised(at: str, line: dict[str, Any], most: int) -> int:
    if line.keys() != {"cachekeeper_model", "files"} or line["cachekeeper_model"] != VERSION:
        raise InvalidInput(at, line, f'{{"cachekeeper_model": {VERSION}, "files": N}}')
    return _whole(f"{at}, files", line["files"], most)


def _add(learnt: Learnt, at: str, line: dict[str, Any]) -> None:
    if line.keys() == {"file", "day", "reads", "followers"}:
        path = _new(at, check_path(line["file"], f"{at}, file"), learnt.files)
        learnt.files[path] = _item(at, line)
    elif line.keys() == {"class", "hits", "trials"}:
        name = _named(f"{at}, class", line["class"], _CLASS)
        learnt.classes[_new(at, name, learnt.classes)] = _rate(at, line)
        if len(learnt.classes) > CLASSES + len(Relation) + 2 * FOLLOWERS:
            raise InvalidInput(at, name, f"about {CLASSES} classes")
    elif line.keys() == {"outcome", "hits", "trials"}:
        name = _named(f"{at}, outcome", line["outcome"], _OUTCOME)
        learnt.outcomes[_new(at, name, learnt.outcomes)] = _rate(at, line)
    else:
        raise InvalidInput(at, line, f"{_FILE}, a class, an outcome, or the calibration")


def _item(at: str, line: dict[str, Any]) -> Item:
    followers = line["followers"]
    if not isinstance(followers, dict) or len(followers) > FOLLOWERS:
        raise InvalidInput(f"{at}, followers", followers, f"an object of {FOLLOWERS} at most")
    day, reads = _whole(f"{at}, day", line["day"], LAST_DAY), _counts(f"{at}, reads", line["reads"])
    counts = {path: _counts(f"{at}, followers", each) for path, each in followers.items()}
    return Item(day, touched=True, reads=reads, followers=counts)


def _check_followers(learnt: Learnt) -> None:
    for path, item in learnt.files.items():
        for follower in item.followers:
            if follower not in learnt.files:
                raise InvalidInput(f"followers of {path}", follower, "files that have a line")


def _calibration(at: str, bins: Any) -> Calibration:
    if not isinstance(bins, list) or len(bins) != BINS:
        raise InvalidInput(f"{at}, calibration", bins, f"{BINS} pairs of hits and trials")
    found = list[Bin]()
    for each in bins:
        if not isinstance(each, list) or len(each) != 2:
            raise InvalidInput(f"{at}, calibration", each, "a pair of hits and trials")
        found.append(Bin(_number(at, each[0]), _number(at, each[1])))
    return Calibration(found)


def _rate(at: str, line: dict[str, Any]) -> Rate:
    return Rate(_number(f"{at}, hits", line["hits"]), _number(f"{at}, trials", line["trials"]))


def _counts(at: str, given: Any) -> list[int]:
    if not isinstance(given, list) or len(given) != SLOTS:
        raise InvalidInput(at, given, _COUNTS)
    counts = [_whole(at, each, HALVED_AT - 1) for each in given]
    if sum(counts) >= HALVED_AT:
        raise InvalidInput(at, given, _COUNTS)
    return counts


def _whole(at: str, given: Any, most: int) -> int:
    if not isinstance(given, int) or isinstance(given, bool) or not 0 <= given <= most:
        raise InvalidInput(at, given, f"a whole number from 0 to {most}")
    return given


def _number(at: str, given: Any) -> float:
    if (
        not isinstance(given, int | float)
        or isinstance(given, bool)
        or not 0 <= given <= MOST_TRIALS
    ):
        raise InvalidInput(at, given, f"a number from 0 to {MOST_TRIALS}")
    return float(given)


def _named(at: str, given: Any, pattern: re.Pattern[str]) -> str:
    if not isinstance(given, str) or pattern.fullmatch(given) is None:
        raise InvalidInput(at, given, f"text that matches {pattern.pattern}")
    return given


def _new(at: str, name: str, known: Iterable[str]) -> str:
    if name in known:
        raise InvalidInput(at, name, "a name that no line before has")
    return name


def _json(line: dict[str, Any]) -> str:
    return json.dumps(line, ensure_ascii=False)
