"""All of them, or those that are named: ``python -m tests.mutations [NAME ...]``."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import click

from tests.mutations.listed import LISTED
from tests.mutations.run import check, copy_tree, mutated, outcome_of

SAID = 2000


@click.command()
@click.argument("names", nargs=-1)
@click.option("--list", "only_list", is_flag=True, help="Print docs/mutations.md's table, and end.")
def main(names: tuple[str, ...], only_list: bool) -> None:
    """Break one invariant after the other; exit status 1 unless a test fails for each."""
    if unknown := sorted(set(names) - {mutation.name for mutation in LISTED}):
        sys.exit(f"unknown: {', '.join(unknown)}; there are {', '.join(m.name for m in LISTED)}")
    if only_list:
        print(table())
        return
    chosen = [mutation for mutation in LISTED if not names or mutation.name in names]
    for mutation in chosen:
        check(mutation)
    with tempfile.TemporaryDirectory(prefix="cachekeeper-mutations-") as folder:
        tree = Path(folder)
        copy_tree(tree)
        whole = outcome_of(dict.fromkeys(test for m in chosen for test in m.tests), tree)
        if not whole.passed:
            sys.exit(f"the tests fail without a mutation ({whole.status}):\n{whole.said[-SAID:]}")
        survived = []
        for mutation in chosen:
            verdict = mutated(mutation, tree)
            told = "caught" if verdict.failed else f"SURVIVED (pytest: {verdict.status})"
            print(f"{mutation.letter}  {mutation.name:24} {told}", flush=True)
            if not verdict.failed:
                survived.append(mutation.name)
                print(verdict.said[-SAID:])
    print(f"{len(chosen) - len(survived)} of {len(chosen)} caught")
    sys.exit(1 if survived else 0)


def table() -> str:
    """The list, for the documentation."""
    lines = ["| | invariant | mutation | where |", "|---|---|---|---|"]
    for mutation in LISTED:
        where = mutation.file.removeprefix("src/cachekeeper/")
        lines.append(f"| {mutation.letter} | {mutation.breaks} | `{mutation.name}` | `{where}` |")
    return "\n".join(lines)


if __name__ == "__main__":
    main(prog_name="python -m tests.mutations")
