"""The model in plain Python: to be replayed over a trace, and what the script is held to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Final

from cachekeeper.core.ports.prediction import Prediction, Reason
from cachekeeper.core.predict.calibration import Calibration, bin_of
from cachekeeper.core.predict.factors import (
    Factors,
    class_name,
    decile,
    factors_of,
    magnitude,
    outcome_name,
    rest_name,
    slot_of,
)
from cachekeeper.core.predict.items import Item, Items, day_of
from cachekeeper.core.predict.rates import Rate
from cachekeeper.core.predict.visits import RELATED, TOGETHER, WINDOW, Guess, Visit
from cachekeeper.core.relations import Relation, extension, relation, streak_of, successor

CLASSES: Final = 4096  # pairs of extensions that are told apart, over all relations
NOTHING: Final[Sequence[int]] = (0, 0, 0, 0)


class Model:
    """Learns from accesses what follows what.

    What is read within a device's next 16 requests and ``horizon_s`` seconds was read soon. At
    most ``items`` files are known at a time.
    """

    def __init__(self, horizon_s: float, items: int) -> None:
        self.horizon_s = horizon_s
        self.items = Items(items)
        self.classes: dict[str, Rate] = {}  # by relation and extensions
        self.outcomes: dict[str, Rate] = {}  # by relation, decile and magnitude
        self.calibration = Calibration()
        self._devices: dict[str, list[Visit]] = {}
        self._full = False

    def observe(
        self,
        device: str,
        path: str,
        at: float,
        *,
        threshold: float,
        limit: int,
        related: Mapping[str, Relation] | None = None,
    ) -> list[Prediction]:
        """Learn that a device read a file; what it is likely to read soon."""
        self._full = len(self.classes) >= CLASSES
        visits, at = self._recent(device, at)
        self._came_true(visits, path)
        self._follow(visits, path)
        item = self.items.read(path, slot_of(at), day_of(at))
        now = Visit(path, at, extension(path))
        named = dict(islice((related or {}).items(), RELATED))
        found = self._predict(visits, now, item, named)
        self._devices[device] = [*visits, now][-WINDOW:]
        likely = [each for each in found if each.probability >= threshold]
        return sorted(likely, key=likeliest)[:limit]

    def explain(self, device: str, path: str) -> list[Reason]:
        """For the files that a device read last, newest first: what each says of a path."""
        visits, curve = self._devices.get(device, []), self.calibration.curve()
        self._full = len(self.classes) >= CLASSES
        found = list[Reason]()
        for number, visit in enumerate(visits):
            item = self.items.get(visit.path)
            if item is None or visit.path == path:
                continue
            guess = visit.guesses.get(path)  # the caller may have said how it is related
            before = {each.path for each in visits[:number]}
            streak = streak_of(visit.path, before)
            kind = (
                guess.relation
                if guess
                else relation(visit.path, path, successor(visit.path), streak)
            )
            factors = self._factors(visit, item, path, kind)
            told = Prediction(path, curve[bin_of(factors.weighted)], *factors, kind.told)
            followed = sum(item.followers.get(path, NOTHING))
            found.append(Reason(visit.path, visit.at, told, sum(item.reads), followed))
        return found[::-1]

    def forget(self, before: float) -> int:
        """Forget files that were last read before a time (to the day); returns how many."""
        return self.items.forget(day_of(before))

    def _recent(self, device: str, at: float) -> tuple[list[Visit], float]:
        """What the device read within the horizon. One that comes late counts as the last one.

        Where a clock went back by more than the horizon, what was before is left behind.
        """
        visits = self._devices.get(device, [])
        if not visits or at < visits[-1].at - self.horizon_s:
            return [], at
        at = max(at, visits[-1].at)
        return [visit for visit in visits if visit.at >= at - self.horizon_s], at

    def _came_true(self, visits: list[Visit], path: str) -> None:
        for visit in visits:
            guess = visit.guesses.pop(path, None)
            if guess is None:
                continue
            of_class = self._class(guess.relation, visit.extension, extension(path))
            self.classes[of_class].hits += 1
            self.outcomes[outcome_of(guess)].hits += 1
            self.calibration.bins[guess.bin].hits += 1

    def _follow(self, visits: list[Visit], path: str) -> None:
        """Count it as read after each of the last ones, after which it was not read yet."""
        for visit in visits[: -TOGETHER - 1 : -1]:
            if visit.path == path:
                return
            item = self.items.get(visit.path)
            if item is not None:
                item.followed_by(path, slot_of(visit.at))

    def _predict(
        self, visits: list[Visit], now: Visit, item: Item, related: Mapping[str, Relation]
    ) -> list[Prediction]:
        recent = {visit.path for visit in visits}
        after, streak = successor(now.path), streak_of(now.path, recent)
        curve = self.calibration.curve()
        scored: list[tuple[Prediction, Guess]] = []
        for path in self._candidates(item, after, related):
            if path == now.path or path in recent:  # what was just read is held already
                continue
            kind = related.get(path, Relation.NONE)
            if kind is Relation.NONE:
                kind = relation(now.path, path, after, streak)
            factors = self._factors(now, item, path, kind)
            tens, size = decile(factors.pattern), magnitude(sum(item.reads))
            guess = Guess(kind, tens, size, bin_of(factors.weighted))
            scored.append((Prediction(path, curve[guess.bin], *factors, kind.told), guess))
        for prediction, guess in scored:
            of_class = self._class(guess.relation, now.extension, extension(prediction.path))
            self.classes.setdefault(of_class, Rate()).tried()
            self.outcomes.setdefault(outcome_of(guess), Rate()).tried()
            self.calibration.bins[guess.bin].tried()
            now.guesses[prediction.path] = guess
        return [prediction for prediction, _ in scored]

    def _factors(self, now: Visit, item: Item, path: str, kind: Relation) -> Factors:
        name = self._class(kind, now.extension, extension(path))
        reads = sum(item.reads)
        return factors_of(
            item.followers.get(path, NOTHING),
            item.reads,
            slot_of(now.at),
            self._rate(self.classes, name),
            lambda pattern: self._rate(self.outcomes, outcome_name(kind, pattern, reads)),
        )

    def _candidates(
        self, item: Item, after: str, related: Mapping[str, Relation]
    ) -> dict[str, None]:
        known = [p for p in item.followers if self.items.get(p) is not None]
        if after and self.items.get(after) is not None:
            known.append(after)
        return dict.fromkeys([*known, *related])

    def _class(self, kind: Relation, before: str, after: str) -> str:
        name = class_name(kind, before, after)
        return rest_name(kind) if self._full and name not in self.classes else name

    @staticmethod
    def _rate(rates: dict[str, Rate], name: str) -> Rate:
        return rates.get(name) or Rate()


def outcome_of(guess: Guess) -> str:
    """By what the outcome of a guess is counted."""
    return f"{guess.relation}{guess.decile}:{guess.magnitude}"


def likeliest(prediction: Prediction) -> tuple[float, float, bytes]:
    """Sorts the likeliest first; those of one bin by their pattern, then by name."""
    return -prediction.probability, -prediction.pattern, prediction.path.encode()
