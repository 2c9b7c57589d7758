"""The long form: ``python -m tests.chaos.devices``."""

from __future__ import annotations

import json
import sys
import time

import click

from tests.chaos.devices.run import Plan, run


@click.command()
@click.option("--seconds", default=60.0, show_default=True, help="For how long.")
@click.option("--policy", default="gdga", show_default=True, help="Which file goes first.")
@click.option("--seed", type=int, default=lambda: int(time.time()), help="Of all that is drawn.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object as the last line.")
def main(seconds: float, policy: str, seed: int, as_json: bool) -> None:
    """Kill readers of a device, and look for a byte too much. Exit status 1 when there was any."""
    outcome = run(Plan(seconds=seconds, policy=policy, seed=seed))
    for said in outcome.wrong[:20]:
        print(said)
    for name, figure in outcome.to_json().items():
        if name != "wrong":
            print(f"{name:16} {figure}")
    if as_json:
        print(json.dumps(outcome.to_json() | {"seed": seed}))
    sys.exit(1 if outcome.wrong else 0)


if __name__ == "__main__":
    main(prog_name="python -m tests.chaos.devices")
