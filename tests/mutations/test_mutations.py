"""The list fits the product, and a mutation is caught. All of them: ``make mutations``."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mutations.__main__ import table
from tests.mutations.listed import LISTED, Mutation
from tests.mutations.run import ROOT, check, copy_tree, mutated, outcome_of


@pytest.mark.parametrize("mutation", LISTED, ids=lambda mutation: mutation.name)
def test_what_it_changes_is_there_once(mutation: Mutation) -> None:
    check(mutation)


def test_all_are_in_the_documentation() -> None:
    assert table() in (ROOT / "docs" / "mutations.md").read_text()


def test_at_least_ten_invariants_are_broken() -> None:
    assert len({mutation.letter for mutation in LISTED}) >= 10
    assert len({mutation.name for mutation in LISTED}) == len(LISTED)


def test_one_is_caught_and_without_it_the_same_test_passes(tmp_path: Path) -> None:
    copy_tree(tmp_path)
    mutation = next(each for each in LISTED if each.name == "any-token")
    assert mutated(mutation, tmp_path).failed
    assert outcome_of(mutation.tests, tmp_path).passed
