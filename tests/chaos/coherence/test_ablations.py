"""The checker sees: with a rule taken out it finds stale reads. All of them: the long form."""

from __future__ import annotations

import pytest

from tests.chaos.coherence.ablations import QUICK, ablate_all
from tests.chaos.coherence.removed import REMOVALS


@pytest.mark.slow
@pytest.mark.parametrize("rule", [*QUICK, "acknowledgements"])
def test_a_rule_taken_out_is_missed(rule: str) -> None:
    assert rule in REMOVALS
    assert next(ablate_all([rule])).stale > 0
