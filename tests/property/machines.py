"""How the state machines of this folder run: each step costs trips to a real server."""

from __future__ import annotations

from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

#: Examples of plain properties for each run of a machine.
COSTS = 6


def run_machine(machine: type[RuleBasedStateMachine], steps: int = 40, costs: int = COSTS) -> None:
    """Run it as often as the profile's examples allow; the last failure is the smallest."""
    assert settings.default is not None
    examples = max(5, settings.default.max_examples // costs)
    run_state_machine_as_test(
        machine, settings=settings(max_examples=examples, stateful_step_count=steps)
    )
