"""The heap that is put right late gives the order that sorting gives."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from cachekeeper.core.policy.ranked import SLACK, Ranked

KEYS = [f"k{i}" for i in range(8)]
scores = st.integers(0, 5).map(float)


class RankedMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.ranked: Ranked[float] = Ranked()
        self.plain: dict[str, float] = {}

    @rule(key=st.sampled_from(KEYS), score=scores)
    def put(self, key: str, score: float) -> None:
        self.ranked.put(key, score)
        self.plain[key] = score

    @rule(key=st.sampled_from(KEYS), score=scores, times=st.integers(SLACK, 4 * SLACK))
    def fall_often(self, key: str, score: float, times: int) -> None:
        """Every fall leaves an outdated place in the heap."""
        for i in range(times):
            self.ranked.put(key, score - i)
        self.plain[key] = score - times + 1

    @precondition(lambda self: self.plain)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.plain)))
        self.ranked.remove(key)
        del self.plain[key]

    @precondition(lambda self: self.plain)
    @rule()
    def pop(self) -> None:
        score, key = min((score, key) for key, score in self.plain.items())
        assert self.ranked.lowest() == (score, key)
        assert self.ranked.pop() == (score, key)
        del self.plain[key]

    @invariant()
    def agrees(self) -> None:
        assert len(self.ranked) == len(self.plain)
        assert len(self.ranked._heap) <= 2 * len(self.plain) + 2 * SLACK
        for key, score in self.plain.items():
            assert self.ranked.score(key) == score


TestRanked = RankedMachine.TestCase
TestRanked.settings = settings(max_examples=40, stateful_step_count=40)
